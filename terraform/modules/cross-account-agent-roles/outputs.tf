output "role_arns" {
  description = "ARNs of the roles, by what each is for: agent, agent_authorized and replication."
  value = {
    agent            = aws_iam_role.agent.arn
    agent_authorized = aws_iam_role.agent_authorized.arn
    replication      = aws_iam_role.replication.arn
  }
}
