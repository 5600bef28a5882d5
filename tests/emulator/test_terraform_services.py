"""Terraform's AWS provider builds a function, a table, a machine and what stands around them, once."""

import json
import os
from pathlib import Path

import pytest

from tests import provider
from tests.conftest import REGION, STAGING, Embedded
from tests.emulator.test_functions import until, zipped
from validator.tools.terraform import WorkingDirectory

pytestmark = pytest.mark.slow

HANDLER = """
import os

import boto3


def handler(event, context):
    boto3.client("dynamodb").put_item(
        TableName=os.environ["TABLE"], Item={"id": {"S": event["id"]}}
    )
    return {"id": event["id"], "done": True}
"""
CODE = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  region = "us-west-2"
}

data "aws_iam_policy_document" "trust" {
  for_each = toset(["lambda", "states"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = ["444455556666"]
    }
  }
}

data "aws_iam_policy_document" "function" {
  statement {
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.this.arn]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }

  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.this.arn]
  }
}

data "aws_iam_policy_document" "machine" {
  statement {
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.this.arn]
  }

  statement {
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

data "aws_iam_policy_document" "topic" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = "deployer-function"
  assume_role_policy = data.aws_iam_policy_document.trust["lambda"].json
}

resource "aws_iam_role_policy" "function" {
  name   = "own"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_iam_role" "machine" {
  name               = "deployer-machine"
  assume_role_policy = data.aws_iam_policy_document.trust["states"].json
}

resource "aws_iam_role_policy" "machine" {
  name   = "own"
  role   = aws_iam_role.machine.id
  policy = data.aws_iam_policy_document.machine.json
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/deployer"
  retention_in_days = 365
}

resource "aws_cloudwatch_log_group" "machine" {
  name              = "/aws/vendedlogs/states/deployer"
  retention_in_days = 365
}

resource "aws_dynamodb_table" "this" {
  name                        = "deployer"
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = true
  hash_key                    = "id"

  attribute {
    name = "id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }
}

resource "aws_lambda_function" "this" {
  function_name                  = "deployer"
  architectures                  = ["arm64"]
  filename                       = "function.zip"
  handler                        = "main.handler"
  memory_size                    = 256
  reserved_concurrent_executions = 20
  role                           = aws_iam_role.function.arn
  runtime                        = "python3.13"
  source_code_hash               = filebase64sha256("function.zip")
  timeout                        = 60

  environment {
    variables = {
      TABLE = aws_dynamodb_table.this.name
    }
  }

  dead_letter_config {
    target_arn = aws_sqs_queue.this.arn
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function.name
  }

  tracing_config {
    mode = "Active"
  }

  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 0

  destination_config {
    on_failure {
      destination = aws_sqs_queue.this.arn
    }
  }
}

resource "aws_sfn_state_machine" "this" {
  name     = "deployer"
  role_arn = aws_iam_role.machine.arn
  type     = "STANDARD"

  definition = jsonencode({
    StartAt = "Work"
    States = {
      Work = {
        Type     = "Task"
        Resource = "arn:aws:states:::lambda:invoke"
        Parameters = {
          FunctionName = aws_lambda_function.this.arn
          "Payload.$"  = "$"
        }
        OutputPath = "$.Payload"
        Retry = [{
          ErrorEquals     = ["Lambda.TooManyRequestsException"]
          IntervalSeconds = 1
          MaxAttempts     = 2
        }]
        End = true
      }
    }
  })

  logging_configuration {
    include_execution_data = false
    level                  = "ERROR"
    log_destination        = "${aws_cloudwatch_log_group.machine.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  tags = {
    Purpose = "deploy"
  }

  depends_on = [aws_iam_role_policy.machine]
}

resource "aws_sqs_queue" "this" {
  name                      = "deployer"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sns_topic" "this" {
  name              = "deployer"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_cloudwatch_metric_alarm" "this" {
  alarm_name          = "deployer"
  alarm_actions       = [aws_sns_topic.this.arn]
  comparison_operator = "GreaterThanThreshold"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  evaluation_periods  = 1
  metric_name         = "Errors"
  namespace           = "AWS/Lambda"
  period              = 300
  statistic           = "Sum"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_ssm_document" "this" {
  name            = "deployer"
  document_format = "JSON"
  document_type   = "Command"
  target_type     = "/AWS::EC2::Instance"

  content = jsonencode({
    schemaVersion = "2.2"
    description   = "Says something."
    parameters    = { What = { type = "String", description = "What to say." } }
    mainSteps = [{
      action = "aws:runShellScript"
      name   = "say"
      inputs = { runCommand = ["echo {{ What }}"] }
    }]
  })
}

output "machine" {
  value = aws_sfn_state_machine.this.arn
}
"""


def test_what_terraform_builds_runs_and_stays_as_it_is(embedded: Embedded, tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(CODE)
    (tmp_path / "function.zip").write_bytes(zipped(HANDLER))
    kept = {
        k: v for k, v in os.environ.items() if k in {"GOGC", "HOME", "PATH", "TF_PROVIDER_MIRROR"}
    }
    environment = {
        **kept,
        **embedded.environment(STAGING),
        "AWS_REGION": REGION,
    }
    embedded.door("iam-enforcement", {"on": True})
    with provider.initialised(tmp_path, environment) as directory:
        assert_that_it_runs_and_stays(directory, embedded, tmp_path)


def assert_that_it_runs_and_stays(
    directory: WorkingDirectory, embedded: Embedded, folder: Path
) -> None:
    """Applies it, lets it work, and plans it again."""
    first, again = folder / "first", folder / "again"
    directory.plan(first, on_event=lambda _: None)
    directory.apply(first, on_event=lambda _: None)

    machines = embedded.client("stepfunctions", STAGING)
    (machine,) = machines.list_state_machines()["stateMachines"]
    execution = machines.start_execution(
        stateMachineArn=machine["stateMachineArn"], input=json.dumps({"id": "one"})
    )["executionArn"]

    def ended() -> object:
        found = machines.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found = until(ended)
    assert found["status"] == "SUCCEEDED", found  # type: ignore[index]
    table = embedded.client("dynamodb", STAGING).scan(TableName="deployer")
    assert table["Items"] == [{"id": {"S": "one"}}]
    logs = embedded.client("logs", STAGING)
    assert logs.filter_log_events(logGroupName="/aws/lambda/deployer")["events"]

    directory.plan(again, on_event=lambda _: None)
    shown = directory.show(again)
    assert isinstance(shown, dict)
    changes = {
        each["address"]: each["change"]
        for each in shown["resource_changes"]
        if each["change"]["actions"] != ["no-op"]
    }
    assert changes == {}
    assert len(shown["resource_changes"]) >= 15
