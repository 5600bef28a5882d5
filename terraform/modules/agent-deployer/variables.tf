variable "account_id" {
  description = "Account that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "environment" {
  description = "Environment that is deployed to; it ends every name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment must be lower case letters, digits and hyphens."
  }
}

variable "external_ids" {
  description = "External id of the orchestration role of each account that agents are deployed in or replicate into, by account id."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.external_ids) > 0 && alltrue([for id in keys(var.external_ids) : can(regex("^[0-9]{12}$", id))])
    error_message = "external_ids must name at least one account, each by its 12 digits."
  }
}

variable "package" {
  description = "The package that `make package` builds: its file, and its SHA-256 in base64."
  type        = object({ file = string, sha256 = string })
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+/]{43}=$", var.package.sha256))
    error_message = "package.sha256 must be a SHA-256 in base64."
  }
}

variable "region" {
  description = "Region that the module acts in: the recovery Region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS Region name."
  }
}

variable "source_region" {
  description = "Region in which the instances run."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.source_region))
    error_message = "source_region must be an AWS Region name."
  }
}

variable "target_account_id" {
  description = "Target account of the estate."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.target_account_id))
    error_message = "target_account_id must be 12 digits."
  }
}
