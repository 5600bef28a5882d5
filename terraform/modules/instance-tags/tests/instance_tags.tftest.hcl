mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_type      = "staging"
  instances         = { i-0123456789abcdef0 = { priority = "1", wave = "wave-1" } }
  target_account_id = "111122223333"
  target_region     = "us-west-2"
}

run "staging_instances_carry_seven_tags" {
  command = plan

  assert {
    condition     = length(aws_ec2_tag.this) == 7 && aws_ec2_tag.this["i-0123456789abcdef0 dr:target-account"].value == "111122223333"
    error_message = "A staging instance names the account it is recovered in."
  }
}

run "bad_wave_is_refused" {
  command = plan

  variables {
    instances = { i-0123456789abcdef0 = { priority = "1", wave = "first" } }
  }

  expect_failures = [var.instances]
}
