variable "account_id" {
  description = "Account that the module acts in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits."
  }
}

variable "cidr" {
  description = "Address range of the staging area's network, at least a /24 for 300 servers."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && tonumber(split("/", var.cidr)[1]) <= 24 && tonumber(split("/", var.cidr)[1]) >= 16
    error_message = "cidr must be a range from /16 to /24."
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

variable "source_cidrs" {
  description = "Address ranges of the source servers, which may send data to TCP port 1500."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.source_cidrs) > 0 && alltrue([for cidr in var.source_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "source_cidrs must name at least one range, and none may be the whole world."
  }
}
