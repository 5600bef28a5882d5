data "aws_iam_policy_document" "permissions" {
  # These actions take no resource.
  statement {
    sid = "Read"
    actions = [
      "drs:DescribeJobs",
      "drs:DescribeLaunchConfigurationTemplates",
      "drs:DescribeRecoveryInstances",
      "drs:DescribeReplicationConfigurationTemplates",
      "drs:DescribeSourceServers",
      "drs:ListExtensibleSourceServers",
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
    sid = "ReadServers"
    actions = [
      "drs:DescribeRecoverySnapshots",
      "drs:GetLaunchConfiguration",
      "drs:GetReplicationConfiguration",
      "drs:ListLaunchActions",
    ]
    resources = ["arn:aws:drs:${var.region}:${var.account_id}:source-server/*"]
  }

  statement {
    sid       = "ReadTemplates"
    actions   = ["drs:ListLaunchActions"]
    resources = ["arn:aws:drs:${var.region}:${var.account_id}:launch-configuration-template/*"]
  }

  statement {
    sid       = "ReadJobs"
    actions   = ["drs:DescribeJobLogItems"]
    resources = ["arn:aws:drs:${var.region}:${var.account_id}:job/*"]
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
