# What `validator verify` calls, and no more: a test compares the two.
data "aws_iam_policy_document" "permissions" {
  # These actions take no resource.
  statement {
    sid = "Read"
    actions = [
      "drs:DescribeLaunchConfigurationTemplates",
      "drs:DescribeReplicationConfigurationTemplates",
      "drs:DescribeSourceServers",
      "drs:ListExtensibleSourceServers",
      "drs:ListStagingAccounts",
      "ec2:DescribeInstances",
      "ec2:DescribeSecurityGroupRules",
      "ec2:DescribeSecurityGroups",
      "iam:ListRoles",
      "kms:ListAliases",
      "kms:ListKeys",
      "servicequotas:ListAWSDefaultServiceQuotas",
      "servicequotas:ListServiceQuotas",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "ReadServers"
    actions   = ["drs:DescribeRecoverySnapshots", "drs:GetReplicationConfiguration"]
    resources = ["arn:aws:drs:${var.region}:${var.account_id}:source-server/*"]
  }

  statement {
    sid       = "ReadKeys"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus"]
    resources = ["arn:aws:kms:${var.region}:${var.account_id}:key/*"]
  }

  # Roles of DRS and of this estate, by their names, on any path.
  statement {
    sid     = "ReadRoles"
    actions = ["iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = [
      "arn:aws:iam::${var.account_id}:role/*/DRS*",
      "arn:aws:iam::${var.account_id}:role/*/drs*",
      "arn:aws:iam::${var.account_id}:role/DRS*",
      "arn:aws:iam::${var.account_id}:role/drs*",
    ]
  }

  # They are in the orchestration account; elsewhere there are none of these names.
  statement {
    sid = "ReadTheAgentDeployer"
    actions = [
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "lambda:GetFunctionConfiguration",
      "states:DescribeStateMachine",
    ]
    resources = [
      "arn:aws:dynamodb:${var.region}:${var.account_id}:table/drs-agent-deployments-${var.environment}",
      "arn:aws:lambda:${var.region}:${var.account_id}:function:drs-agent-deployer-${var.environment}",
      "arn:aws:states:${var.region}:${var.account_id}:stateMachine:drs-agent-deployer-${var.environment}",
    ]
  }

  statement {
    sid       = "ReadPolicies"
    actions   = ["iam:GetPolicy", "iam:GetPolicyVersion"]
    resources = ["arn:aws:iam::${var.account_id}:policy/*"]
  }
}
