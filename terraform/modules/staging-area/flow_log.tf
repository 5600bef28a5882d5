# What is refused on port 1500 shows here: the first place to look when a server does not replicate.
resource "aws_flow_log" "this" {
  iam_role_arn    = aws_iam_role.flow_log.arn
  log_destination = aws_cloudwatch_log_group.flow_log.arn
  traffic_type    = "ALL"
  vpc_id          = aws_vpc.this.id
}

resource "aws_cloudwatch_log_group" "flow_log" {
  #checkov:skip=CKV_AWS_158: Flow logs hold addresses and byte counts, and CloudWatch encrypts them; a key of the estate would have to admit the Logs service, and those keys admit nobody but the estate.
  name              = local._flow_log
  retention_in_days = 365
}

resource "aws_iam_role" "flow_log" {
  name               = local._flow_log
  description        = "Lets VPC write the staging area's flow log."
  assume_role_policy = data.aws_iam_policy_document.flow_log_trust.json
}

resource "aws_iam_role_policy" "flow_log" {
  name   = "write-flow-log"
  role   = aws_iam_role.flow_log.name
  policy = data.aws_iam_policy_document.flow_log.json
}

# What VPC asks for, on this one log group.
data "aws_iam_policy_document" "flow_log" {
  statement {
    sid = "WriteTheFlowLog"
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogStreams",
      "logs:PutLogEvents",
    ]
    resources = [local._flow_log_arn, "${local._flow_log_arn}:*"]
  }

  statement {
    sid       = "FindTheLogGroup"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:*"]
  }
}

data "aws_iam_policy_document" "flow_log_trust" {
  statement {
    sid     = "FlowLogsOfThisAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

locals {
  _flow_log     = "drs-staging-area-flow-log"
  _flow_log_arn = "arn:aws:logs:${var.region}:${var.account_id}:log-group:${local._flow_log}"
}
