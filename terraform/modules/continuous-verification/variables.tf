variable "account_id" {
  description = "Account that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "enabled" {
  description = "Whether it runs on its schedule, and silence rings; without, everything stands ready and waits."
  type        = bool
  nullable    = false
}

variable "environment" {
  description = "Environment that is verified; it ends every name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment must be lower case letters, digits and hyphens."
  }
}

variable "external_id" {
  description = "External id that the workflow must present to assume the role; not to be guessed."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]+$", var.external_id)) && length(var.external_id) >= 8 && length(var.external_id) <= 1224
    error_message = "external_id must be 8 to 1,224 characters of letters, digits and + = , . @ : / - _."
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
  description = "Region that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS Region name."
  }
}

variable "schedule" {
  description = "When it runs, as EventBridge writes it; at least once a day, or the alarm rings."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(rate|cron)\\([^()]+\\)$", var.schedule))
    error_message = "schedule must be a rate(...) or cron(...) of EventBridge."
  }
}

variable "verifier_roles" {
  description = "External id of each verifier role of the estate, by the role's ARN."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.verifier_roles) > 0 && alltrue([for arn in keys(var.verifier_roles) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^*?]+$", arn))])
    error_message = "verifier_roles must name at least one role, each by its exact ARN."
  }
}

variable "workflow_role_arn" {
  description = "The one principal besides the function that may assume the role: the workflow that verifies."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^*?]+$", var.workflow_role_arn))
    error_message = "workflow_role_arn must be the exact ARN of a role."
  }
}
