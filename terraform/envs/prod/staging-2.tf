provider "aws" {
  alias               = "staging_2"
  allowed_account_ids = [var.staging_accounts["staging-2"].account_id]
  region              = var.recovery_region

  assume_role {
    role_arn = "arn:aws:iam::${var.staging_accounts["staging-2"].account_id}:role/${var.access_role_name}"
  }
}

provider "aws" {
  alias               = "staging_2_source"
  allowed_account_ids = [var.staging_accounts["staging-2"].account_id]
  region              = var.source_region

  assume_role {
    role_arn = "arn:aws:iam::${var.staging_accounts["staging-2"].account_id}:role/${var.access_role_name}"
  }
}

module "staging_2_trust" {
  source    = "../../modules/staging-trust"
  providers = { aws = aws.staging_2 }

  target_account_id = var.target.account_id
}

module "staging_2_replication_key" {
  source    = "../../modules/replication-key"
  providers = { aws = aws.staging_2 }

  account_id         = var.staging_accounts["staging-2"].account_id
  region             = var.recovery_region
  staging_role_ids   = { target = module.staging_2_trust.role_id }
  target_account_ids = [var.target.account_id]
}

module "staging_2_staging_area" {
  source    = "../../modules/staging-area"
  providers = { aws = aws.staging_2 }

  account_id   = var.staging_accounts["staging-2"].account_id
  cidr         = var.staging_accounts["staging-2"].staging_area_cidr
  region       = var.recovery_region
  source_cidrs = var.source_cidrs
}

module "staging_2_replication_template" {
  source    = "../../modules/replication-template"
  providers = { aws = aws.staging_2 }

  key_arn            = module.staging_2_replication_key.arn
  point_in_time_days = var.point_in_time_days
  security_group_id  = module.staging_2_staging_area.security_group_id
  staging_area_tags  = { environment = var.environment }
  subnet_id          = module.staging_2_staging_area.subnet_id
}

module "staging_2_agent_instance_profile" {
  source    = "../../modules/agent-instance-profile"
  providers = { aws = aws.staging_2 }

  environment = var.environment
}

module "staging_2_instance_tags" {
  source    = "../../modules/instance-tags"
  providers = { aws = aws.staging_2_source }

  account_type      = "staging"
  instances         = var.staging_accounts["staging-2"].instances
  target_account_id = var.target.account_id
  target_region     = var.recovery_region
}

module "staging_2_orchestration_role" {
  source    = "../../modules/orchestration-role"
  providers = { aws = aws.staging_2 }

  account_id            = var.staging_accounts["staging-2"].account_id
  environment           = var.environment
  external_id           = var.staging_accounts["staging-2"].external_id
  source_region         = var.source_region
  trusted_principal_arn = "arn:aws:iam::${var.orchestration.account_id}:role/drs-agent-deployer-${var.environment}"
}

module "staging_2_verifier_role" {
  source    = "../../modules/verifier-role"
  providers = { aws = aws.staging_2 }

  account_id            = var.staging_accounts["staging-2"].account_id
  environment           = var.environment
  external_id           = var.staging_accounts["staging-2"].external_id
  region                = var.recovery_region
  trusted_principal_arn = var.verifier_principal_arn
}
