provider "aws" {
  alias               = "orchestration"
  allowed_account_ids = [var.orchestration.account_id]
  region              = var.recovery_region

  assume_role {
    role_arn = "arn:aws:iam::${var.orchestration.account_id}:role/${var.access_role_name}"
  }
}

module "orchestration_verifier_role" {
  source    = "../../modules/verifier-role"
  providers = { aws = aws.orchestration }

  account_id            = var.orchestration.account_id
  environment           = var.environment
  external_id           = var.orchestration.external_id
  region                = var.recovery_region
  trusted_principal_arn = var.verifier_principal_arn
}
