resource "aws_iam_role" "this" {
  name               = "DRSAgentInstallRole-${var.environment}"
  description        = "Lets an instance be managed by SSM and register itself with DRS."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = toset([
    "AmazonSSMManagedInstanceCore",
    "service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",
  ])

  role       = aws_iam_role.this.name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}

resource "aws_iam_instance_profile" "this" {
  name = aws_iam_role.this.name
  role = aws_iam_role.this.name
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "Instances"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}
