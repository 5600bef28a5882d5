mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_id   = "444455556666"
  cidr         = "10.240.0.0/24"
  region       = "us-west-2"
  source_cidrs = ["10.0.0.0/16"]
}

run "data_port_is_open_to_the_sources_only" {
  command = plan

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.replication : [rule.cidr_ipv4, rule.from_port, rule.to_port]] == [["10.0.0.0/16", 1500, 1500]]
    error_message = "Only the declared ranges may reach port 1500."
  }
}

run "all_traffic_is_logged_for_a_year" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow_log.retention_in_days == 365
    error_message = "The flow log must hold accepted and refused traffic, for a year."
  }
}

run "short_account_id_is_refused" {
  command = plan

  variables {
    account_id = "44445555666"
  }

  expect_failures = [var.account_id]
}

run "the_whole_world_is_refused" {
  command = plan

  variables {
    source_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.source_cidrs]
}
