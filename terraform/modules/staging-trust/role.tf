# The role is the trusted-account record: the DRS console lists it, and has no other.
resource "aws_iam_role" "this" {
  name               = "DRSStagingAccountRole_${var.target_account_id}"
  path               = "/service-role/"
  description        = "Lets DRS of account ${var.target_account_id} extend and recover servers of this account."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

# Attached by ARN and never copied: AWS adds actions to it.
resource "aws_iam_role_policy_attachment" "this" {
  role       = aws_iam_role.this.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "DrsActsForTheTarget"
    actions = ["sts:AssumeRole", "sts:SetSourceIdentity"]

    principals {
      type        = "Service"
      identifiers = ["drs.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "sts:SourceIdentity"
      values   = [var.target_account_id]
    }

    condition {
      test     = "StringLike"
      variable = "aws:SourceAccount"
      values   = [var.target_account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:aws:drs:*:*:source-server/*"]
    }
  }
}
