# What an agent of the peer's instances becomes in this account.
resource "aws_iam_role" "agent" {
  #checkov:skip=CKV_AWS_61: The peer's root is bound to one exact role of it by aws:PrincipalArn; checkov reads no conditions.
  name               = "DRSCrossAccountAgentRole_${var.peer_account_id}"
  path               = "/service-role/"
  description        = "Lets agents on instances of account ${var.peer_account_id} replicate into this one."
  assume_role_policy = data.aws_iam_policy_document.agent_trust.json
}

resource "aws_iam_role_policy_attachment" "agent" {
  role       = aws_iam_role.agent.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryEc2InstancePolicy"
}

data "aws_iam_policy_document" "agent_trust" {
  statement {
    sid     = "AgentsOfThePeer"
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.peer_account_id}:root"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [local._peer_authorized_role]
    }
  }

  statement {
    sid     = "AgentsOfThePeerSayWhichInstance"
    actions = ["sts:SetSourceIdentity"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.peer_account_id}:root"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [local._peer_authorized_role]
    }

    condition {
      test     = "StringLike"
      variable = "sts:SourceIdentity"
      values   = ["i-*"]
    }
  }
}

locals {
  _peer_authorized_role = "arn:aws:iam::${var.peer_account_id}:role/service-role/DRSCrossAccountAgentAuthorizedRole_${var.account_id}"
}
