variable "account_id" {
  description = "Account that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "peer_account_id" {
  description = "The other account: the one that instances here replicate into, or whose instances replicate into this one."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.peer_account_id))
    error_message = "peer_account_id must be 12 digits."
  }
}
