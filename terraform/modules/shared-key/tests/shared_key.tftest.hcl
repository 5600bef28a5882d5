mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_id          = "111122223333"
  region              = "us-west-2"
  staging_account_ids = ["444455556666"]
}

run "key_has_the_shared_alias" {
  command = plan

  assert {
    condition     = aws_kms_alias.this.name == "alias/drs-shared-ebs-key" && aws_kms_key.this.enable_key_rotation
    error_message = "The key must rotate and have the shared alias."
  }
}

run "short_staging_account_id_is_refused" {
  command = plan

  variables {
    staging_account_ids = ["4444"]
  }

  expect_failures = [var.staging_account_ids]
}
