resource "aws_iam_role" "function" {
  name               = local._name
  description        = "Assumes the orchestration roles of env ${var.environment}, and keeps the records of deployments."
  assume_role_policy = data.aws_iam_policy_document.function_trust.json
}

resource "aws_iam_role_policy" "function" {
  name   = "deploy-agents"
  role   = aws_iam_role.function.name
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_iam_role" "machine" {
  name               = "${local._name}-states"
  description        = "Makes the steps of deployments in env ${var.environment}."
  assume_role_policy = data.aws_iam_policy_document.machine_trust.json
}

resource "aws_iam_role_policy" "machine" {
  name   = "make-steps"
  role   = aws_iam_role.machine.name
  policy = data.aws_iam_policy_document.machine.json
}

data "aws_iam_policy_document" "function_trust" {
  statement {
    sid     = "Function"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "machine_trust" {
  statement {
    sid     = "StateMachine"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local._machine_arn]
    }
  }
}
