mock_provider "aws" {
  override_during = plan
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
