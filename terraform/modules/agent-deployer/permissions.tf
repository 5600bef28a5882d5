data "aws_iam_policy_document" "function" {
  statement {
    sid = "KeepRecords"
    actions = [
      "dynamodb:BatchWriteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
    ]
    resources = [local._table_arn]
  }

  statement {
    sid       = "StartDeployments"
    actions   = ["states:StartExecution"]
    resources = [local._machine_arn]
  }

  statement {
    sid       = "LeaveWhatFailed"
    actions   = ["sqs:SendMessage"]
    resources = [local._undelivered_arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:${local._function_log}:*"]
  }

  dynamic "statement" {
    for_each = var.external_ids

    content {
      sid       = "Deploy${statement.key}"
      actions   = ["sts:AssumeRole"]
      resources = ["arn:aws:iam::${statement.key}:role/DRSOrchestrationRole-${var.environment}"]

      condition {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [statement.value]
      }
    }
  }
}

data "aws_iam_policy_document" "machine" {
  #checkov:skip=CKV_AWS_111,CKV_AWS_356: The actions by which Step Functions delivers logs take no resource; the statement has no others.
  statement {
    sid       = "MakeSteps"
    actions   = ["lambda:InvokeFunction"]
    resources = [local._function_arn]
  }

  # Source: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
  statement {
    sid = "DeliverLogs"
    actions = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
    ]
    resources = ["*"]
  }
}
