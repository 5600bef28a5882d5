variable "target_account_id" {
  description = "Target account that servers are extended into."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.target_account_id))
    error_message = "target_account_id must be 12 digits."
  }
}
