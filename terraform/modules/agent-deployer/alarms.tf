resource "aws_cloudwatch_metric_alarm" "executions" {
  for_each = {
    aborted = "ExecutionsAborted"
    failed  = "ExecutionsFailed"
    timeout = "ExecutionsTimedOut"
  }

  alarm_name          = "${local._name}-${each.key}"
  alarm_description   = "A deployment of agents in env ${var.environment} did not come to the end that was asked for."
  alarm_actions       = [aws_sns_topic.alarms.arn]
  comparison_operator = "GreaterThanThreshold"
  dimensions          = { StateMachineArn = local._machine_arn }
  evaluation_periods  = 1
  metric_name         = each.value
  namespace           = "AWS/States"
  period              = 300
  statistic           = "Sum"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  alarm_name          = "${local._name}-undelivered"
  alarm_description   = "A payload for env ${var.environment} that nobody waited for was not started; it lies in the queue."
  alarm_actions       = [aws_sns_topic.alarms.arn]
  comparison_operator = "GreaterThanThreshold"
  dimensions          = { QueueName = aws_sqs_queue.undelivered.name }
  evaluation_periods  = 1
  metric_name         = "ApproximateNumberOfMessagesVisible"
  namespace           = "AWS/SQS"
  period              = 300
  statistic           = "Maximum"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# NOTE: why it is not encrypted, see module continuous-verification.
resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26: CloudWatch cannot publish under alias/aws/sns, and no key of the estate admits a service; what is told is an alarm's name and text.
  name         = "${local._name}-alarms"
  display_name = "DRS agents ${var.environment}"
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "AlarmsOfThisModule"
    actions   = ["sns:Publish"]
    resources = ["arn:aws:sns:${var.region}:${var.account_id}:${local._name}-alarms"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:aws:cloudwatch:${var.region}:${var.account_id}:alarm:${local._name}-*"]
    }
  }
}
