mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  environment = "dev"
}

run "profile_carries_both_policies" {
  command = plan

  assert {
    condition     = length(aws_iam_role_policy_attachment.this) == 2
    error_message = "The agent needs SSM and the DRS instance policy."
  }
}
