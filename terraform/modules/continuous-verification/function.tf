resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50: One process calls AWS and ends; every call that fails is named in the verdict, and there is no other service of ours to trace.
  #checkov:skip=CKV_AWS_116: What failed goes to the queue by the on_failure destination below, with its error, which a dead letter has not.
  #checkov:skip=CKV_AWS_117: It reads AWS's public APIs in several accounts and Regions, and listens to nobody; a network of its own would only have to be opened to all of them.
  #checkov:skip=CKV_AWS_173: Its settings are a name, an ARN and a namespace, nothing secret, and Lambda encrypts them.
  #checkov:skip=CKV_AWS_272: The package is built from this checkout and pinned in the plan by its hash; a signature by the same hands would say no more.
  function_name                  = local._name
  description                    = "Verifies the estate of env ${var.environment}, and says when its verdict changes."
  architectures                  = ["arm64"]
  filename                       = var.package.file
  handler                        = "validator.continuous.handler"
  memory_size                    = 1024
  reserved_concurrent_executions = 1 # two runs at once could each overwrite the other's last verdict
  role                           = aws_iam_role.this.arn
  runtime                        = "python3.13"
  source_code_hash               = var.package.sha256
  timeout                        = 900

  environment {
    variables = {
      METRIC_NAMESPACE = local._namespace
      TOPIC_ARN        = aws_sns_topic.verdicts.arn
      VERDICT_NAME     = aws_ssm_parameter.verdict.name
    }
  }

  # Lambda makes a log group that is not there yet, and keeps its events for ever.
  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.this]
}

# A run that failed has said so. The next one comes with the schedule, not at once.
resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 0

  destination_config {
    on_failure {
      destination = aws_sqs_queue.undelivered.arn
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158: What is logged is what the topic tells, and CloudWatch encrypts it; a key of the estate would have to admit the Logs service, and those keys admit nobody but the estate.
  name              = local._log_group
  retention_in_days = 365
}

# The verdict that was last told. What stands here first is none, so that the first run tells its own.
resource "aws_ssm_parameter" "verdict" {
  #checkov:skip=CKV2_AWS_34,CKV_AWS_337: It holds one word and a digest of findings, nothing secret; the promise to keep is that nobody else writes it.
  name        = local._verdict
  description = "The verdict of env ${var.environment} that was last told; written by each run that tells one."
  type        = "String"
  value       = "none"

  lifecycle {
    ignore_changes = [value]
  }
}

locals {
  _log_group = "/aws/lambda/${local._name}"
  _name      = "drs-continuous-verification-${var.environment}"
  _namespace = "DRSEstate"
  _verdict   = "/drs/continuous-verification/${var.environment}"
}
