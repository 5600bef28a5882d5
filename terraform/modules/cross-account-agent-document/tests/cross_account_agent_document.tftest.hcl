mock_provider "aws" {
  override_during = plan
}

variables {
  environment      = "dev"
  into_account_ids = ["444455556666"]
  recovery_region  = "us-west-2"
}

run "the_account_is_one_of_a_list" {
  command = plan

  assert {
    condition     = jsondecode(aws_ssm_document.this.content).parameters.AccountId.allowedValues == ["444455556666"]
    error_message = "Instances must replicate into accounts of the estate only."
  }
}

run "no_value_can_leave_its_place_in_the_script" {
  command = plan

  assert {
    condition = alltrue([
      for text in ["", "a=b;reboot", "a=$(id)", "a=b c", "a='", "a=`id`", "a=@(id)", "a=b\n"] :
      !can(regex(jsondecode(aws_ssm_document.this.content).parameters.Tags.allowedPattern, text))
    ])
    error_message = "A tag must not hold what a shell reads."
  }

  assert {
    condition     = can(regex(jsondecode(aws_ssm_document.this.content).parameters.Tags.allowedPattern, "dr:enabled=true dr:wave=wave-1"))
    error_message = "The tags that the deployer sends must be taken."
  }
}

run "an_account_of_no_12_digits_is_refused" {
  command = plan

  variables {
    into_account_ids = ["4444"]
  }

  expect_failures = [var.into_account_ids]
}
