mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  target_account_id = "111122223333"
}

run "role_has_the_name_and_path_that_drs_looks_for" {
  command = plan

  assert {
    condition     = aws_iam_role.this.name == "DRSStagingAccountRole_111122223333" && aws_iam_role.this.path == "/service-role/"
    error_message = "DRS finds the role by path and name."
  }
}

run "short_target_is_refused" {
  command = plan

  variables {
    target_account_id = "1111"
  }

  expect_failures = [var.target_account_id]
}
