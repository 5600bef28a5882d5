variable "access_role_name" {
  description = "Role that Terraform assumes in each account."
  type        = string
  nullable    = false
}

variable "continuous_verification" {
  description = "Whether the estate is verified on a schedule, on which, and the role of the workflow that verifies as well."
  type = object({
    enabled           = bool
    schedule          = string
    workflow_role_arn = string
  })
  nullable = false
}

variable "drill_days" {
  description = "Most days between two drills of a source server."
  type        = number
  nullable    = false
}

variable "environment" {
  description = "Name of this environment, the same as its folder's."
  type        = string
  nullable    = false
}

variable "headroom" {
  description = "Source servers of its replicating quota that each account keeps free, for servers that are installed again."
  type        = number
  nullable    = false
}

variable "launch_settings" {
  description = "How extended source servers are launched in the target account."
  type = object({
    copy_private_ip = bool
    copy_tags       = bool
    disposition     = string
    licensing_byol  = bool
    right_sizing    = string
  })
  nullable = false

  validation {
    condition     = contains(["STARTED", "STOPPED"], var.launch_settings.disposition)
    error_message = "launch_settings.disposition must be STARTED or STOPPED."
  }

  validation {
    condition     = contains(["BASIC", "IN_AWS", "NONE"], var.launch_settings.right_sizing)
    error_message = "launch_settings.right_sizing must be BASIC, IN_AWS or NONE."
  }
}

variable "orchestration" {
  description = "Account that the agent deployer runs in, and the external id of the verifier there."
  type = object({
    account_id  = string
    external_id = string
  })
  nullable = false
}

variable "point_in_time_days" {
  description = "Days for which daily points in time are kept."
  type        = number
  nullable    = false
}

variable "recovery_point_objectives" {
  description = "Minutes of data that may be lost, by the tag dr:priority of a source server."
  type        = map(number)
  nullable    = false
}

variable "recovery_region" {
  description = "Region that servers replicate to and recover in."
  type        = string
  nullable    = false
}

variable "recovery_waves" {
  description = "Servers of the whole estate that are recovered at once, by wave."
  type        = map(number)
  nullable    = false
}

variable "source_cidrs" {
  description = "Address ranges of the source servers."
  type        = set(string)
  nullable    = false
}

variable "source_region" {
  description = "Region that the source servers run in."
  type        = string
  nullable    = false
}

variable "staging_accounts" {
  description = "Staging accounts by name, each with the number of servers that replicate there."
  type = map(object({
    account_id        = string
    external_id       = string
    instances         = map(object({ priority = string, wave = string }))
    selectors         = optional(map(object({ priority = string, tags = map(string), wave = string })), {})
    servers           = number
    staging_area_cidr = string
  }))
  nullable = false
}

variable "target" {
  description = "Account that servers are recovered in, with the number of its own that replicate there."
  type = object({
    account_id        = string
    external_id       = string
    instances         = map(object({ priority = string, wave = string }))
    selectors         = optional(map(object({ priority = string, tags = map(string), wave = string })), {})
    servers           = number
    staging_area_cidr = string
  })
  nullable = false
}

variable "verifier_principal_arn" {
  description = "The one principal that may assume the verifier roles."
  type        = string
  nullable    = false
}

variable "volumes_per_server" {
  description = "Volumes that a source server has on average, rounded up: each has its own snapshots."
  type        = number
  nullable    = false
}
