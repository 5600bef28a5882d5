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

module "orchestration_continuous_verification" {
  source    = "../../modules/continuous-verification"
  providers = { aws = aws.orchestration }

  account_id        = var.orchestration.account_id
  enabled           = var.continuous_verification.enabled
  environment       = var.environment
  external_id       = var.orchestration.external_id
  package           = { file = local._package, sha256 = filebase64sha256(local._package) }
  region            = var.recovery_region
  schedule          = var.continuous_verification.schedule
  workflow_role_arn = var.continuous_verification.workflow_role_arn

  verifier_roles = {
    for account in concat([var.target, var.orchestration], values(var.staging_accounts)) :
    "arn:aws:iam::${account.account_id}:role/DRSVerifierRole-${var.environment}" => account.external_id
  }
}

module "orchestration_agent_deployer" {
  source    = "../../modules/agent-deployer"
  providers = { aws = aws.orchestration }

  account_id        = var.orchestration.account_id
  environment       = var.environment
  external_ids      = { for account in concat([var.target], values(var.staging_accounts)) : account.account_id => account.external_id }
  package           = { file = local._deployer_package, sha256 = filebase64sha256(local._deployer_package) }
  region            = var.recovery_region
  source_region     = var.source_region
  target_account_id = var.target.account_id
}

module "orchestration_dashboards" {
  source    = "../../modules/dashboards"
  providers = { aws = aws.orchestration }

  drill_days                = var.drill_days
  environment               = var.environment
  headroom                  = var.headroom
  metric_namespace          = module.orchestration_continuous_verification.metric_namespace
  recovery_point_objectives = var.recovery_point_objectives
  region                    = var.recovery_region
  staging_account_ids       = { for name, account in var.staging_accounts : name => account.account_id }
  target_account_id         = var.target.account_id
}

output "agent_deployment_payloads" {
  description = "A ready payload of the agent deployer for each account, and for all of them."
  value       = module.orchestration_agent_deployer.payloads
}

output "grafana_dashboard" {
  description = "The dashboard for Grafana, as JSON to import."
  value       = module.orchestration_dashboards.grafana
}

locals {
  _deployer_package = "${path.root}/../../../build/${var.environment}/agent-deployer.zip"          # make package
  _package          = "${path.root}/../../../build/${var.environment}/continuous-verification.zip" # make package
}
