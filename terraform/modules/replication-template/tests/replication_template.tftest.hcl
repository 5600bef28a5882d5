mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  key_arn            = "arn:aws:kms:us-west-2:444455556666:key/11111111-2222-3333-4444-555555555555"
  point_in_time_days = 7
  security_group_id  = "sg-0123456789abcdef0"
  staging_area_tags  = {}
  subnet_id          = "subnet-0123456789abcdef0"
}

run "template_encrypts_with_the_key_and_stays_private" {
  command = plan

  assert {
    condition     = aws_drs_replication_configuration_template.this.ebs_encryption == "CUSTOM" && !aws_drs_replication_configuration_template.this.create_public_ip
    error_message = "The template must encrypt with the key and give no public addresses."
  }

  assert {
    condition     = [for rule in aws_drs_replication_configuration_template.this.pit_policy : rule.units] == ["MINUTE", "HOUR", "DAY"]
    error_message = "DRS takes exactly three rules."
  }
}

run "too_many_days_are_refused" {
  command = plan

  variables {
    point_in_time_days = 366
  }

  expect_failures = [var.point_in_time_days]
}
