# What an agent on an instance of this account becomes, before it becomes the peer's agent role.
resource "aws_iam_role" "agent_authorized" {
  #checkov:skip=CKV_AWS_61: The account's root is bound to its own instances by the tag of their sessions; checkov reads no conditions.
  name               = "DRSCrossAccountAgentAuthorizedRole_${var.peer_account_id}"
  path               = "/service-role/"
  description        = "Lets agents on instances of this account replicate into account ${var.peer_account_id}."
  assume_role_policy = data.aws_iam_policy_document.agent_authorized_trust.json
}

resource "aws_iam_role_policy" "agent_authorized" {
  name   = "become-the-agent-role-of-the-peer"
  role   = aws_iam_role.agent_authorized.name
  policy = data.aws_iam_policy_document.agent_authorized.json
}

data "aws_iam_policy_document" "agent_authorized" {
  statement {
    sid       = "BecomeTheAgentRole"
    actions   = ["sts:AssumeRole", "sts:TagSession"]
    resources = [local._peer_agent_role]
  }

  statement {
    sid       = "SayWhichInstance"
    actions   = ["sts:SetSourceIdentity"]
    resources = [local._peer_agent_role]

    condition {
      test     = "StringLike"
      variable = "sts:SourceIdentity"
      values   = ["i-*"]
    }
  }
}

data "aws_iam_policy_document" "agent_authorized_trust" {
  statement {
    sid     = "InstancesOfThisAccount"
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/SourceInstanceARN"
      values   = ["$${ec2:SourceInstanceARN}"]
    }

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "sts:TransitiveTagKeys"
      values   = ["SourceInstanceARN"]
    }
  }
}

locals {
  _peer_agent_role = "arn:aws:iam::${var.peer_account_id}:role/service-role/DRSCrossAccountAgentRole_${var.account_id}"
}
