mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:us-west-2:777788889999:rule/drs" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::777788889999:role/drs-verify-dev" }
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
  account_id  = "777788889999"
  enabled     = true
  environment = "dev"
  external_id = "aaaabbbb-cccc-dddd"
  package = {
    file   = "continuous-verification.zip"
    sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
  region            = "us-west-2"
  schedule          = "rate(6 hours)"
  verifier_roles    = { "arn:aws:iam::111122223333:role/DRSVerifierRole-dev" = "bbbbcccc-dddd-eeee" }
  workflow_role_arn = "arn:aws:iam::777788889999:role/github-verify"
}

run "silence_rings" {
  command = plan

  assert {
    condition     = aws_cloudwatch_metric_alarm.silent.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.silent.actions_enabled != false
    error_message = "Where no run comes to its end, the alarm must ring."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 1
    error_message = "Two runs at once could overwrite each other's verdict."
  }
}

run "disabled_it_is_ready_and_silent" {
  command = plan

  variables {
    enabled = false
  }

  assert {
    condition     = aws_cloudwatch_event_rule.this.state == "DISABLED" && aws_cloudwatch_metric_alarm.silent.treat_missing_data == "notBreaching"
    error_message = "Disabled, nothing may run or ring."
  }
}

run "wildcard_of_a_verifier_role_is_refused" {
  command = plan

  variables {
    verifier_roles = { "arn:aws:iam::111122223333:role/*" = "bbbbcccc-dddd-eeee" }
  }

  expect_failures = [var.verifier_roles]
}

run "hash_of_another_kind_is_refused" {
  command = plan

  variables {
    package = { file = "continuous-verification.zip", sha256 = "d41d8cd98f00b204e9800998ecf8427e" }
  }

  expect_failures = [var.package]
}
