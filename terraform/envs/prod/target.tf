provider "aws" {
  alias               = "target"
  allowed_account_ids = [var.target.account_id]
  region              = var.recovery_region

  assume_role {
    role_arn = "arn:aws:iam::${var.target.account_id}:role/${var.access_role_name}"
  }
}

provider "aws" {
  alias               = "target_source"
  allowed_account_ids = [var.target.account_id]
  region              = var.source_region

  assume_role {
    role_arn = "arn:aws:iam::${var.target.account_id}:role/${var.access_role_name}"
  }
}

module "target_shared_key" {
  source    = "../../modules/shared-key"
  providers = { aws = aws.target }

  account_id          = var.target.account_id
  region              = var.recovery_region
  staging_account_ids = [for account in var.staging_accounts : account.account_id]
}

module "target_staging_area" {
  source    = "../../modules/staging-area"
  providers = { aws = aws.target }

  account_id   = var.target.account_id
  cidr         = var.target.staging_area_cidr
  region       = var.recovery_region
  source_cidrs = var.source_cidrs
}

module "target_replication_template" {
  source    = "../../modules/replication-template"
  providers = { aws = aws.target }

  key_arn            = module.target_shared_key.arn
  point_in_time_days = var.point_in_time_days
  security_group_id  = module.target_staging_area.security_group_id
  staging_area_tags  = { environment = var.environment }
  subnet_id          = module.target_staging_area.subnet_id
}

module "target_agent_instance_profile" {
  source    = "../../modules/agent-instance-profile"
  providers = { aws = aws.target }

  environment = var.environment
}

module "target_instance_tags" {
  source    = "../../modules/instance-tags"
  providers = { aws = aws.target_source }

  account_type      = "target"
  instances         = var.target.instances
  target_account_id = var.target.account_id
  target_region     = var.recovery_region
}

module "target_orchestration_role" {
  source    = "../../modules/orchestration-role"
  providers = { aws = aws.target }

  account_id            = var.target.account_id
  environment           = var.environment
  external_id           = var.target.external_id
  source_region         = var.source_region
  trusted_principal_arn = "arn:aws:iam::${var.orchestration.account_id}:role/drs-agent-deployer-${var.environment}"
}

module "target_verifier_role" {
  source    = "../../modules/verifier-role"
  providers = { aws = aws.target }

  account_id            = var.target.account_id
  environment           = var.environment
  external_id           = var.target.external_id
  region                = var.recovery_region
  trusted_principal_arn = var.verifier_principal_arn
}
