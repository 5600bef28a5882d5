variable "environment" {
  description = "Environment that the document belongs to; it ends the document's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment must be lower case letters, digits and hyphens."
  }
}

variable "into_account_ids" {
  description = "Accounts that instances may be told to replicate into."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.into_account_ids) > 0 && alltrue([for id in var.into_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "into_account_ids must name at least one account, each by its 12 digits."
  }
}

variable "recovery_region" {
  description = "Region that instances replicate to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.recovery_region))
    error_message = "recovery_region must be an AWS Region name."
  }
}
