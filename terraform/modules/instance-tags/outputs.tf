output "tagged" {
  description = "Ids of the tagged instances."
  value       = keys(var.instances)
}
