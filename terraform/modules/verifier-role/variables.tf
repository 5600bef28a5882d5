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
  description = "Environment that the role belongs to; it ends the role's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment must be lower case letters, digits and hyphens."
  }
}

variable "external_id" {
  description = "External id that the caller must present; not to be guessed, one for each account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]+$", var.external_id)) && length(var.external_id) >= 8 && length(var.external_id) <= 1224
    error_message = "external_id must be 8 to 1,224 characters of letters, digits and + = , . @ : / - _."
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

variable "trusted_principal_arn" {
  description = "The one principal that may assume the role."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(root|role/.+)$", var.trusted_principal_arn))
    error_message = "trusted_principal_arn must be the ARN of a role or of an account's root."
  }
}
