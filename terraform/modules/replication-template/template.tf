# NOTE: the provider sends no update for staging_area_tags alone, and the apply then fails; change
# another argument with them. Creating, updating and deleting take 30 s each in the provider.
resource "aws_drs_replication_configuration_template" "this" {
  associate_default_security_group        = false
  auto_replicate_new_disks                = true
  bandwidth_throttling                    = 0
  create_public_ip                        = false
  data_plane_routing                      = "PRIVATE_IP"
  default_large_staging_disk_type         = "AUTO"
  ebs_encryption                          = "CUSTOM"
  ebs_encryption_key_arn                  = var.key_arn
  replication_server_instance_type        = "t3.small"
  replication_servers_security_groups_ids = [var.security_group_id]
  staging_area_subnet_id                  = var.subnet_id
  staging_area_tags                       = var.staging_area_tags
  use_dedicated_replication_server        = false

  # DRS takes exactly these three rules; only the days may differ.
  pit_policy {
    enabled            = true
    interval           = 10
    retention_duration = 60
    rule_id            = 1
    units              = "MINUTE"
  }

  pit_policy {
    enabled            = true
    interval           = 1
    retention_duration = 24
    rule_id            = 2
    units              = "HOUR"
  }

  pit_policy {
    enabled            = true
    interval           = 1
    retention_duration = var.point_in_time_days
    rule_id            = 3
    units              = "DAY"
  }
}
