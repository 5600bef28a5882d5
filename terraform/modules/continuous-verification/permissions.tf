data "aws_iam_policy_document" "permissions" {
  #checkov:skip=CKV_AWS_111,CKV_AWS_356: cloudwatch:PutMetricData takes no resource; the condition on its namespace is the bound that AWS offers.
  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [local._namespace]
    }
  }

  statement {
    sid       = "KeepTheVerdict"
    actions   = ["ssm:GetParameter", "ssm:PutParameter"]
    resources = ["arn:aws:ssm:${var.region}:${var.account_id}:parameter${local._verdict}"]
  }

  statement {
    sid       = "TellAChange"
    actions   = ["sns:Publish"]
    resources = [local._topic_arn]
  }

  statement {
    sid       = "LeaveWhatFailed"
    actions   = ["sqs:SendMessage"]
    resources = [local._undelivered_arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:${local._log_group}:*"]
  }

  dynamic "statement" {
    for_each = var.verifier_roles

    content {
      sid       = "Verify${split(":", statement.key)[4]}"
      actions   = ["sts:AssumeRole"]
      resources = [statement.key]

      condition {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [statement.value]
      }
    }
  }
}
