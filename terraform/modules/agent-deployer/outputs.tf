output "alarms_topic_arn" {
  description = "ARN of the topic that tells when a deployment failed."
  value       = aws_sns_topic.alarms.arn
}

output "function_name" {
  description = "Name of the function that takes payloads."
  value       = aws_lambda_function.this.function_name
}

output "payloads" {
  description = "A ready payload for each account, by account id, and `combined` for all of them."
  value = merge(
    { for id, payload in local._payloads : id => jsonencode(payload) },
    { combined = jsonencode({ deployment_pattern = "combined", deployments = values(local._payloads) }) },
  )
}

output "state_machine_arn" {
  description = "ARN of the state machine that makes deployments."
  value       = local._machine_arn
}

output "table_name" {
  description = "Name of the table of deployments."
  value       = aws_dynamodb_table.this.name
}

locals {
  _payloads = {
    for id in keys(var.external_ids) : id => merge(
      {
        deployment_pattern = id == var.target_account_id ? "same-account" : "extended-source-servers"
        source_account_id  = id
        source_region      = var.source_region
        staging_account_id = id
        target_region      = var.region
      },
      id == var.target_account_id ? {} : { target_account_id = var.target_account_id },
    )
  }
}
