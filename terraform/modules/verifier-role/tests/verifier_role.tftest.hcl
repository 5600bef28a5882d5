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
  region                = "us-west-2"
  trusted_principal_arn = "arn:aws:iam::777788889999:role/drs-verify-dev"
}

run "role_is_named_for_its_environment" {
  command = plan

  assert {
    condition     = aws_iam_role.this.name == "DRSVerifierRole-dev"
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
