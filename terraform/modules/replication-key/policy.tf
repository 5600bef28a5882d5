locals {
  # Principals of the opt-in statements: none unless asked for.
  _ebs_targets = var.full_ebs_access ? var.target_account_ids : []
}

# One statement for each audience. Built from account ids, path and name: all of it is known at plan.
data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_109,CKV_AWS_111,CKV_AWS_356: In a key policy the resource "*" is this key alone, and the owner must be able to administer it.
  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }
  }

  dynamic "statement" {
    for_each = var.target_account_ids

    content {
      sid       = "StagingRoleShares${statement.value}"
      actions   = ["kms:ReEncrypt*"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:aws:iam::${var.account_id}:role/service-role/DRSStagingAccountRole_${statement.value}"]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:CallerAccount"
        values   = [var.account_id]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["ec2.${var.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.target_account_ids

    content {
      sid       = "TargetUses${statement.value}"
      actions   = ["kms:ReEncrypt*"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:aws:iam::${statement.value}:root"]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:CallerAccount"
        values   = [statement.value]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["ec2.${var.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = local._ebs_targets

    content {
      sid       = "TargetReads${statement.value}"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:aws:iam::${statement.value}:root"]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:CallerAccount"
        values   = [statement.value]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["ec2.${var.region}.amazonaws.com"]
      }
    }
  }

  # kms:GrantIsForAWSResource exists for grants only, so CreateGrant stands alone.
  dynamic "statement" {
    for_each = local._ebs_targets

    content {
      sid       = "TargetGrants${statement.value}"
      actions   = ["kms:CreateGrant"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:aws:iam::${statement.value}:root"]
      }

      condition {
        test     = "Bool"
        variable = "kms:GrantIsForAWSResource"
        values   = ["true"]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:CallerAccount"
        values   = [statement.value]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["ec2.${var.region}.amazonaws.com"]
      }
    }
  }
}
