# NOTE: KMS refuses a policy that names a role which does not exist yet. The policy's ARNs are plain
# text, so that they are known at plan; this holds the key back until the roles are there. Nothing
# in the policy refers to it.
resource "terraform_data" "roles" {
  input = var.staging_role_ids
}

resource "aws_kms_key" "this" {
  description             = "Encrypts the DRS staging disks and snapshots of this staging account."
  deletion_window_in_days = 30
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.this.json

  depends_on = [terraform_data.roles]
}

resource "aws_kms_alias" "this" {
  name          = "alias/drs-replication-key"
  target_key_id = aws_kms_key.this.key_id
}
