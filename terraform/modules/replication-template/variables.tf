variable "key_arn" {
  description = "ARN of the customer-managed key in the recovery Region; servers under a default key cannot be extended."
  type        = string
  nullable    = false
}

variable "point_in_time_days" {
  description = "Days for which daily points in time are kept, 1 to 365."
  type        = number
  nullable    = false

  validation {
    condition     = var.point_in_time_days >= 1 && var.point_in_time_days <= 365 && floor(var.point_in_time_days) == var.point_in_time_days
    error_message = "point_in_time_days must be a whole number from 1 to 365."
  }
}

variable "security_group_id" {
  description = "Security group of the replication servers."
  type        = string
  nullable    = false
}

variable "staging_area_tags" {
  description = "Tags of everything that DRS makes in the staging area."
  type        = map(string)
  nullable    = false
}

variable "subnet_id" {
  description = "Subnet of the staging area."
  type        = string
  nullable    = false
}
