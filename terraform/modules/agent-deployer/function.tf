resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_45: External ids look like secrets to checkov and are none: AWS shows them to whoever may read a role.
  #checkov:skip=CKV_AWS_50: Each step is an event of the state machine, with its input, its answer and its error; there is no other service of ours to trace.
  #checkov:skip=CKV_AWS_116: What failed goes to the queue by the on_failure destination below, with its error, which a dead letter has not.
  #checkov:skip=CKV_AWS_117: It calls AWS's public APIs in several accounts and Regions, and listens to nobody; a network of its own would only have to be opened to all of them.
  #checkov:skip=CKV_AWS_173: Its settings are account ids, names and external ids, which AWS does not call secret, and Lambda encrypts them.
  #checkov:skip=CKV_AWS_272: The package is built from this checkout and pinned in the plan by its hash; a signature by the same hands would say no more.
  function_name                  = local._name
  description                    = "Deploys DRS agents onto the tagged instances of env ${var.environment}."
  architectures                  = ["arm64"]
  filename                       = var.package.file
  handler                        = "agent_deployer.handler.handler"
  memory_size                    = 512
  reserved_concurrent_executions = 10
  role                           = aws_iam_role.function.arn
  runtime                        = "python3.13"
  source_code_hash               = var.package.sha256
  timeout                        = 300

  environment {
    variables = {
      SETTINGS = jsonencode({
        account_id        = var.account_id
        environment       = var.environment
        external_ids      = var.external_ids
        recovery_region   = var.region
        source_region     = var.source_region
        target_account_id = var.target_account_id
      })
    }
  }

  # Lambda makes a log group that is not there yet, and keeps its events for ever.
  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
}

# For those who invoke it and do not wait. A payload that was refused is refused again.
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

resource "aws_sqs_queue" "undelivered" {
  name                      = "${local._name}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

locals {
  _function_arn    = "arn:aws:lambda:${var.region}:${var.account_id}:function:${local._name}"
  _machine_arn     = "arn:aws:states:${var.region}:${var.account_id}:stateMachine:${local._name}"
  _name            = "drs-agent-deployer-${var.environment}"
  _table           = "drs-agent-deployments-${var.environment}"
  _table_arn       = "arn:aws:dynamodb:${var.region}:${var.account_id}:table/${local._table}"
  _undelivered_arn = "arn:aws:sqs:${var.region}:${var.account_id}:${local._name}-undelivered"
}
