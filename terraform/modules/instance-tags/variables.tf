variable "account_type" {
  description = "Part that the account plays in the estate: target or staging."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["staging", "target"], var.account_type)
    error_message = "account_type must be target or staging."
  }
}

variable "instances" {
  description = "Instances to protect, by instance id, with their recovery wave and priority."
  type        = map(object({ priority = string, wave = string }))
  nullable    = false

  validation {
    condition = alltrue([
      for id, instance in var.instances :
      can(regex("^i-[0-9a-f]{8,17}$", id)) && can(regex("^wave-[1-9][0-9]*$", instance.wave)) && can(regex("^[1-9]$", instance.priority))
    ])
    error_message = "Each instance needs an id such as i-0123456789abcdef0, a wave such as wave-1 and a priority from 1 to 9."
  }
}

variable "target_account_id" {
  description = "Target account that servers are extended into."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.target_account_id))
    error_message = "target_account_id must be 12 digits."
  }
}

variable "target_region" {
  description = "Recovery Region."
  type        = string
  nullable    = false
}
