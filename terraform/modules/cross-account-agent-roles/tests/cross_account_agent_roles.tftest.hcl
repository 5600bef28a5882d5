mock_provider "aws" {
  override_during = plan

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_id      = "111122223333"
  peer_account_id = "444455556666"
}

run "roles_have_the_names_that_drs_looks_for" {
  command = plan

  assert {
    condition     = aws_iam_role.agent.name == "DRSCrossAccountAgentRole_444455556666" && aws_iam_role.agent.path == "/service-role/"
    error_message = "DRS finds the agent role by its path and the peer's id."
  }

  assert {
    condition     = aws_iam_role.agent_authorized.name == "DRSCrossAccountAgentAuthorizedRole_444455556666"
    error_message = "DRS finds the authorized role by the peer's id."
  }
}

run "the_peer_comes_by_one_role" {
  command = plan

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.agent_trust.statement :
      contains(flatten([for condition in statement.condition : condition.values]), "arn:aws:iam::444455556666:role/service-role/DRSCrossAccountAgentAuthorizedRole_111122223333")
    ])
    error_message = "Only the peer's authorized role may become the agent role."
  }
}

run "an_id_of_no_12_digits_is_refused" {
  command = plan

  variables {
    peer_account_id = "4444"
  }

  expect_failures = [var.peer_account_id]
}
