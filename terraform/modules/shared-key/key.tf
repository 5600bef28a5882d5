resource "aws_kms_key" "this" {
  description             = "Encrypts DRS disks and snapshots of the target; staging accounts use it through EC2."
  deletion_window_in_days = 30
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.this.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/drs-shared-ebs-key"
  target_key_id = aws_kms_key.this.key_id
}
