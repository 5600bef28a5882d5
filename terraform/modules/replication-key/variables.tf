variable "account_id" {
  description = "Account that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "full_ebs_access" {
  description = "Also lets the targets use the key as EBS does for a shared snapshot, beyond what DRS needs."
  type        = bool
  default     = false
  nullable    = false
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

variable "staging_role_ids" {
  description = "Ids of the staging roles that the policy names; the key waits until they exist."
  type        = map(string)
  nullable    = false
}

variable "target_account_ids" {
  description = "Target accounts that servers of this staging account are extended into."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for id in var.target_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "Each target account id must be 12 digits."
  }
}
