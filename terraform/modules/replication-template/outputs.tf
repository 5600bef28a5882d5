output "id" {
  description = "Id of the template."
  value       = aws_drs_replication_configuration_template.this.id
}
