resource "aws_cloudwatch_event_rule" "this" {
  name                = local._name
  description         = "Verifies the estate of env ${var.environment}."
  schedule_expression = var.schedule
  state               = var.enabled ? "ENABLED" : "DISABLED"
}

resource "aws_cloudwatch_event_target" "this" {
  rule = aws_cloudwatch_event_rule.this.name
  arn  = aws_lambda_function.this.arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_lambda_permission" "schedule" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.this.arn
  statement_id  = "schedule"
}

# Runs that could not be started, or that failed.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${local._name}-undelivered"
  message_retention_seconds = 1209600
  policy                    = data.aws_iam_policy_document.undelivered.json
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "undelivered" {
  statement {
    sid       = "ScheduleLeavesWhatItCouldNotStart"
    actions   = ["sqs:SendMessage"]
    resources = [local._undelivered_arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:aws:events:${var.region}:${var.account_id}:rule/${local._name}"]
    }
  }
}

locals {
  _undelivered_arn = "arn:aws:sqs:${var.region}:${var.account_id}:${local._name}-undelivered"
}
