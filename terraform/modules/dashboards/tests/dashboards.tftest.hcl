mock_provider "aws" {
  override_during = plan
}

variables {
  drill_days                = 180
  environment               = "dev"
  headroom                  = 10
  metric_namespace          = "DRSEstate"
  recovery_point_objectives = { "1" = 15, "2" = 60 }
  region                    = "us-west-2"
  staging_account_ids       = { staging-1 = "444455556666" }
  target_account_id         = "111122223333"
}

run "each_account_has_a_row" {
  command = plan

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 1 + 5 + 2 * 6
    error_message = "A heading, five charts of the verification, and six widgets for each account."
  }

  assert {
    condition     = join(" ", distinct([for each in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : each.properties.accountId if can(each.properties.accountId)])) == "111122223333 444455556666"
    error_message = "What DRS says must be read in each account, the target first."
  }

  assert {
    condition     = length(jsondecode(output.grafana).panels) == 5 + 2 * 6
    error_message = "Grafana must show the same charts."
  }
}

run "without_staging_accounts_there_is_no_chart_without_lines" {
  command = plan

  variables {
    staging_account_ids = {}
  }

  assert {
    condition     = alltrue([for each in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : length(each.properties.metrics) > 0 if each.type == "metric"])
    error_message = "CloudWatch refuses a widget with neither metric nor line."
  }
}

run "what_is_declared_is_drawn" {
  command = plan

  assert {
    condition = toset(flatten([
      for each in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      [for mark in each.properties.annotations.horizontal : "${mark.label} ${mark.value}"] if can(each.properties.annotations)
      ])) == toset([
      "violated 1", "unknown 2", "quota 300", "headroom 290", "silence 1", "strictest objective 900", "a drill is due 15552000",
    ])
    error_message = "Lines must be those of the declared values."
  }
}

run "without_headroom_there_is_no_line_for_it" {
  command = plan

  variables {
    headroom = 0
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "headroom")
    error_message = "The quota itself is drawn already."
  }
}

run "as_many_accounts_as_cloudwatch_has_widgets_for" {
  command = plan

  variables {
    staging_account_ids = { for n in range(80) : "staging-${n}" => format("%012d", n) }
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) <= 500
    error_message = "CloudWatch takes 500 widgets."
  }
}

run "one_account_more_is_refused" {
  command = plan

  variables {
    staging_account_ids = { for n in range(81) : "staging-${n}" => format("%012d", n) }
  }

  expect_failures = [var.staging_account_ids]
}

run "a_staging_account_named_as_the_target_is_refused" {
  command = plan

  variables {
    staging_account_ids = { target = "444455556666" }
  }

  expect_failures = [var.staging_account_ids]
}

run "a_namespace_of_aws_is_refused" {
  command = plan

  variables {
    metric_namespace = "AWS/DRS"
  }

  expect_failures = [var.metric_namespace]
}

run "no_objective_is_refused" {
  command = plan

  variables {
    recovery_point_objectives = {}
  }

  expect_failures = [var.recovery_point_objectives]
}

run "a_quote_in_an_id_is_refused" {
  command = plan

  variables {
    target_account_id = "11112222333'"
  }

  expect_failures = [var.target_account_id]
}
