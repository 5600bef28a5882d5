resource "aws_iam_role" "this" {
  #checkov:skip=CKV_AWS_61: The account's root is bound to one exact principal by aws:PrincipalArn, and to an external id; checkov reads no conditions.
  name               = "DRSVerifierRole-${var.environment}"
  description        = "Reads what the validator verifies in this account, and changes nothing."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "this" {
  name   = "read-drs"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.permissions.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "OnePrincipalWithExternalId"
    actions = ["sts:AssumeRole"]

    # NOTE: IAM refuses a trust policy that names a role not made yet, and silently rewrites the
    # name of one that is deleted. The account's root with the exact ARN as a condition trusts the
    # same one principal, in any order of creation.
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${split(":", var.trusted_principal_arn)[4]}:root"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [var.trusted_principal_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.external_id]
    }
  }
}
