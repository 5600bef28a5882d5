data "aws_iam_policy_document" "permissions" {
  # These actions take no resource.
  statement {
    sid = "Read"
    actions = [
      "drs:DescribeSourceServers",
      "ec2:DescribeInstances",
      "ssm:DescribeInstanceInformation",
      "ssm:GetCommandInvocation",
      "ssm:ListCommandInvocations",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "SendTheInstallDocument"
    actions   = ["ssm:SendCommand"]
    resources = ["arn:aws:ssm:${var.source_region}::document/AWSDisasterRecovery-InstallDRAgentOnInstance"]
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
}
