output "alarms_topic_arn" {
  description = "ARN of the topic that tells when a verification failed, or none came to its end."
  value       = aws_sns_topic.alarms.arn
}

output "metric_namespace" {
  description = "Namespace of the metrics that a verification puts."
  value       = local._namespace
}

output "role_arn" {
  description = "ARN of the role that the verifier roles must trust."
  value       = aws_iam_role.this.arn
}

output "verdicts_topic_arn" {
  description = "ARN of the topic that tells a changed verdict."
  value       = aws_sns_topic.verdicts.arn
}
