data "aws_iam_policy_document" "permissions" {
  # These actions take no resource.
  statement {
    sid = "Read"
    actions = [
      "drs:DescribeSourceServers",
      "ec2:DescribeInstances",
      "ec2:DescribeVolumes",
      "servicequotas:GetAWSDefaultServiceQuota",
      "servicequotas:GetServiceQuota",
      "ssm:DescribeInstanceInformation",
      "ssm:ListCommandInvocations",
      "ssm:ListCommands",
    ]
    resources = ["*"]
  }

  # Whether an instance can register itself with DRS is told by its profile.
  statement {
    sid     = "ReadInstanceProfiles"
    actions = ["iam:GetInstanceProfile", "iam:ListAttachedRolePolicies"]
    resources = [
      "arn:aws:iam::${var.account_id}:instance-profile/*",
      "arn:aws:iam::${var.account_id}:role/*",
    ]
  }

  statement {
    sid     = "SendTheInstallDocument"
    actions = ["ssm:SendCommand"]
    resources = [
      "arn:aws:ssm:${var.source_region}::document/AWSDisasterRecovery-InstallDRAgentOnInstance",
      "arn:aws:ssm:${var.source_region}:${var.account_id}:document/DRS-InstallAgentIntoAccount-${var.environment}",
    ]
  }

  statement {
    sid       = "SendToTaggedInstances"
    actions   = ["ssm:SendCommand"]
    resources = ["arn:aws:ec2:${var.source_region}:${var.account_id}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/dr:enabled"
      values   = ["true"]
    }
  }

  # A command has no ARN that a policy could name.
  statement {
    sid       = "CallBack"
    actions   = ["ssm:CancelCommand"]
    resources = ["*"]
  }
}
