variable "drill_days" {
  description = "Most days between two drills of a source server; drawn as a line."
  type        = number
  nullable    = false

  validation {
    condition     = var.drill_days >= 1 && floor(var.drill_days) == var.drill_days
    error_message = "drill_days must be a whole number of days, 1 or more."
  }
}

variable "environment" {
  description = "Environment that is shown; it ends the dashboard's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment must be lower case letters, digits and hyphens."
  }
}

variable "headroom" {
  description = "Source servers of its replicating quota that each account keeps free; drawn as a line."
  type        = number
  nullable    = false

  validation {
    condition     = var.headroom >= 0 && var.headroom < 300 && floor(var.headroom) == var.headroom
    error_message = "headroom must be a whole number from 0 to 299."
  }
}

variable "metric_namespace" {
  description = "Namespace of the metrics that continuous verification puts."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._/#-]{1,255}$", var.metric_namespace)) && !startswith(var.metric_namespace, "AWS/")
    error_message = "metric_namespace must be a namespace of CloudWatch that is not AWS's own."
  }
}

variable "recovery_point_objectives" {
  description = "Minutes of data that may be lost, by the tag dr:priority; the strictest is drawn as a line."
  type        = map(number)
  nullable    = false

  validation {
    condition     = length(var.recovery_point_objectives) > 0 && alltrue([for minutes in values(var.recovery_point_objectives) : minutes > 0])
    error_message = "recovery_point_objectives must name at least one priority, each with more than 0 minutes."
  }
}

variable "region" {
  description = "Recovery Region, where the metrics are."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS Region name."
  }
}

variable "staging_account_ids" {
  description = "Id of each staging account, by its name in the estate."
  type        = map(string)
  nullable    = false

  # CloudWatch takes 500 widgets, and each account has six.
  validation {
    condition     = length(var.staging_account_ids) <= 80
    error_message = "staging_account_ids must be 80 at most: CloudWatch takes 500 widgets in a dashboard."
  }

  validation {
    condition     = alltrue([for name, id in var.staging_account_ids : can(regex("^[0-9]{12}$", id)) && can(regex("^[a-z][a-z0-9-]*$", name)) && name != "target"])
    error_message = "staging_account_ids must be 12 digits each, by names of lower case letters, digits and hyphens."
  }
}

variable "target_account_id" {
  description = "Account that servers are recovered in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.target_account_id))
    error_message = "target_account_id must be 12 digits."
  }
}
