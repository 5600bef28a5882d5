mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_id            = "111122223333"
  environment           = "dev"
  external_id           = "aaaabbbb-cccc-dddd"
  source_region         = "us-east-1"
  trusted_principal_arn = "arn:aws:iam::777788889999:role/drs-agent-deployer-dev"
}

run "role_is_named_for_its_environment" {
  command = plan

  assert {
    condition     = aws_iam_role.this.name == "DRSOrchestrationRole-dev"
    error_message = "The role must end in its environment."
  }
}

run "short_external_id_is_refused" {
  command = plan

  variables {
    external_id = "x"
  }

  expect_failures = [var.external_id]
}
