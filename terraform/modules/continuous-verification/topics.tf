# Tells a changed verdict.
resource "aws_sns_topic" "verdicts" {
  name              = local._name
  display_name      = "DRS estate ${var.environment}"
  kms_master_key_id = "alias/aws/sns"
}

# NOTE: CloudWatch cannot publish to a topic under AWS's own key, whose policy does not let it in: the
# alarm would ring for nobody. A key that lets in a service that acts for all of AWS's customers is
# none that this estate has. So alarms have a topic of their own, which holds nothing of the estate.
resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26: CloudWatch cannot publish under alias/aws/sns, and no key of the estate admits a service; what is told is an alarm's name and text.
  name         = "${local._name}-alarms"
  display_name = "DRS alarm ${var.environment}"
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "AlarmsOfThisModule"
    actions   = ["sns:Publish"]
    resources = ["${local._topic_arn}-alarms"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:aws:cloudwatch:${var.region}:${var.account_id}:alarm:${local._name}-*"]
    }
  }
}

locals {
  _topic_arn = "arn:aws:sns:${var.region}:${var.account_id}:${local._name}"
}
