# A verification that does not run is not fine: no data rings, as a run without an end does.
resource "aws_cloudwatch_metric_alarm" "silent" {
  alarm_name          = "${local._name}-silent"
  alarm_description   = "No verification of env ${var.environment} came to its end within a day: nothing is known of the estate."
  alarm_actions       = [aws_sns_topic.alarms.arn]
  comparison_operator = "LessThanThreshold"
  dimensions          = { Environment = var.environment }
  evaluation_periods  = 1
  metric_name         = "Completed"
  namespace           = local._namespace
  ok_actions          = [aws_sns_topic.alarms.arn]
  period              = 86400
  statistic           = "Sum"
  threshold           = 1
  treat_missing_data  = var.enabled ? "breaching" : "notBreaching"
}

# Also a run that was cut off in the middle, which can tell nothing itself. Where no run is started
# there is no data, and the alarm above rings.
resource "aws_cloudwatch_metric_alarm" "failed" {
  alarm_name          = "${local._name}-failed"
  alarm_description   = "A verification of env ${var.environment} failed or was cut off: its verdict is unknown."
  alarm_actions       = [aws_sns_topic.alarms.arn]
  comparison_operator = "GreaterThanThreshold"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  evaluation_periods  = 1
  metric_name         = "Errors"
  namespace           = "AWS/Lambda"
  ok_actions          = [aws_sns_topic.alarms.arn]
  period              = 300
  statistic           = "Sum"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}
