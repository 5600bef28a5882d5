mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_id         = "444455556666"
  region             = "us-west-2"
  staging_role_ids   = {}
  target_account_ids = ["111122223333"]
}

run "key_has_alias_and_rotation" {
  command = plan

  assert {
    condition     = aws_kms_alias.this.name == "alias/drs-replication-key" && aws_kms_key.this.enable_key_rotation
    error_message = "The key must rotate and have its alias."
  }
}

run "short_account_id_is_refused" {
  command = plan

  variables {
    account_id = "44445555666"
  }

  expect_failures = [var.account_id]
}
