check "accounts_are_distinct" {
  assert {
    condition     = length(distinct(local._account_ids)) == length(local._account_ids)
    error_message = "Each account of the estate must have its own id."
  }
}

check "account_ids_have_twelve_digits" {
  assert {
    condition     = alltrue([for id in local._account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "Each account id must be 12 digits."
  }
}

locals {
  _account_ids = concat(
    [var.target.account_id, var.orchestration.account_id],
    [for account in var.staging_accounts : account.account_id],
  )
}
