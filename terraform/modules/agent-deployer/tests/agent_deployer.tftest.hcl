mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:777788889999:log-group:drs" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::777788889999:role/drs-agent-deployer-dev" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-west-2:777788889999:function:drs" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:777788889999:drs" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-west-2:777788889999:drs" }
  }
}

variables {
  account_id   = "777788889999"
  environment  = "dev"
  external_ids = { "111122223333" = "bbbbcccc-dddd-eeee", "444455556666" = "ccccdddd-eeee-ffff" }
  package = {
    file   = "agent-deployer.zip"
    sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
  region            = "us-west-2"
  source_region     = "us-east-1"
  target_account_id = "111122223333"
}

run "records_last" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.this.point_in_time_recovery[0].enabled && aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "What was sent must not be forgotten."
  }

  assert {
    condition     = aws_dynamodb_table.this.ttl[0].attribute_name == "expires"
    error_message = "Records of deployments that ended must expire."
  }
}

run "every_step_is_retried_and_its_failure_caught" {
  command = plan

  assert {
    condition = alltrue([
      for name, state in jsondecode(aws_sfn_state_machine.this.definition).States :
      contains(state.Retry[0].ErrorEquals, "Sandbox.Timedout") && contains(state.Catch[0].ErrorEquals, "States.ALL")
      if state.Type == "Task"
    ])
    error_message = "A step that was cut off must be made again, and one that fails must end the execution by name."
  }
}

run "an_error_is_recorded_and_told_as_it_was" {
  command = plan

  assert {
    condition = alltrue([
      for name in ["Plan", "Advance"] :
      jsondecode(aws_sfn_state_machine.this.definition).States[name].Catch[0].Next == "Abandon"
    ])
    error_message = "No error may leave a deployment behind that nobody works on."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.this.definition).States.Stopped.CausePath == "$.Cause"
    error_message = "The execution must end with the error that stopped it, also where it could not be recorded."
  }
}

run "payloads_are_ready" {
  command = plan

  assert {
    condition     = jsondecode(output.payloads["111122223333"]).deployment_pattern == "same-account"
    error_message = "The target's instances replicate into their own account."
  }

  assert {
    condition     = jsondecode(output.payloads["444455556666"]).target_account_id == "111122223333"
    error_message = "A staging account's payload must name the target."
  }

  assert {
    condition     = length(jsondecode(output.payloads.combined).deployments) == 2
    error_message = "The combined payload must hold every account's."
  }
}

run "an_account_of_no_12_digits_is_refused" {
  command = plan

  variables {
    external_ids = { "1111" = "bbbbcccc-dddd-eeee" }
  }

  expect_failures = [var.external_ids]
}

run "hash_of_another_kind_is_refused" {
  command = plan

  variables {
    package = { file = "agent-deployer.zip", sha256 = "d41d8cd98f00b204e9800998ecf8427e" }
  }

  expect_failures = [var.package]
}
