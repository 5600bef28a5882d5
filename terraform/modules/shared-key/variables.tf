variable "account_id" {
  description = "Account that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "region" {
  description = "Recovery Region, in which DRS of every account of the estate lives."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS Region name."
  }
}

variable "staging_account_ids" {
  description = "Staging accounts that may use the key through EC2."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for id in var.staging_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "Each staging account id must be 12 digits."
  }
}
