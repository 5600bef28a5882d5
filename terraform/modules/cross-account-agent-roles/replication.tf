# What DRS of the peer becomes in this account: right-sizing, Marketplace checks, failback.
resource "aws_iam_role" "replication" {
  name               = "DRSCrossAccountReplicationRole_${var.peer_account_id}"
  path               = "/service-role/"
  description        = "Lets DRS act here for servers of account ${var.peer_account_id}."
  assume_role_policy = data.aws_iam_policy_document.replication_trust.json
}

resource "aws_iam_role_policy_attachment" "replication" {
  role       = aws_iam_role.replication.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryCrossAccountReplicationPolicy"
}

data "aws_iam_policy_document" "replication_trust" {
  statement {
    sid     = "ServersOfThePeer"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["drs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.peer_account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values = [
        "arn:aws:drs:*:${var.peer_account_id}:recovery-instance/*",
        "arn:aws:drs:*:${var.peer_account_id}:source-server/*",
      ]
    }
  }
}
