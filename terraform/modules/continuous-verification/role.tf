resource "aws_iam_role" "this" {
  #checkov:skip=CKV_AWS_61: The account's root is bound to one exact principal by aws:PrincipalArn, and to an external id; checkov reads no conditions.
  name               = "drs-verify-${var.environment}"
  description        = "Assumes the verifier roles of env ${var.environment}, and tells what it found."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "this" {
  name   = "verify-and-tell"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.permissions.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "Function"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }

  # The verifier roles trust one principal, this role. So the workflow that verifies comes through it.
  # NOTE: why the account's root with a condition, see module verifier-role.
  statement {
    sid     = "WorkflowWithExternalId"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${split(":", var.workflow_role_arn)[4]}:root"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [var.workflow_role_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.external_id]
    }
  }
}
