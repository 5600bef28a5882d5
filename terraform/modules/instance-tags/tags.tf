locals {
  _common = merge({
    "dr:account-type"      = var.account_type
    "dr:enabled"           = "true"
    "dr:recovery-strategy" = "drs"
    "dr:target-region"     = var.target_region
  }, var.account_type == "staging" ? { "dr:target-account" = var.target_account_id } : {})

  _tags = merge([
    for id, instance in var.instances : {
      for key, value in merge(local._common, { "dr:priority" = instance.priority, "dr:wave" = instance.wave }) :
      "${id} ${key}" => { id = id, key = key, value = value }
    }
  ]...)
}

resource "aws_ec2_tag" "this" {
  for_each = local._tags

  resource_id = each.value.id
  key         = each.value.key
  value       = each.value.value
}
