data "aws_iam_policy_document" "permissions" {
  # DRS, EC2 and SSM read actions take no resource.
  statement {
    sid = "Read"
    actions = [
      "drs:DescribeJobLogItems",
      "drs:DescribeJobs",
      "drs:DescribeLaunchConfigurationTemplates",
      "drs:DescribeRecoveryInstances",
      "drs:DescribeRecoverySnapshots",
      "drs:DescribeReplicationConfigurationTemplates",
      "drs:DescribeSourceServers",
      "drs:GetLaunchConfiguration",
      "drs:GetReplicationConfiguration",
      "drs:ListExtensibleSourceServers",
      "drs:ListLaunchActions",
      "drs:ListStagingAccounts",
      "drs:ListTagsForResource",
      "ec2:DescribeInstances",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:GetEbsDefaultKmsKeyId",
      "ec2:GetEbsEncryptionByDefault",
      "kms:ListAliases",
      "kms:ListKeys",
      "servicequotas:GetServiceQuota",
      "servicequotas:ListAWSDefaultServiceQuotas",
      "servicequotas:ListServiceQuotas",
      "ssm:DescribeInstanceInformation",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "ReadKeys"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListGrants"]
    resources = ["arn:aws:kms:${var.region}:${var.account_id}:key/*"]
  }

  statement {
    sid     = "ReadRoles"
    actions = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"]
    resources = [
      "arn:aws:iam::${var.account_id}:role/service-role/DRS*",
      "arn:aws:iam::${var.account_id}:role/service-role/AWSElasticDisasterRecovery*",
    ]
  }
}
