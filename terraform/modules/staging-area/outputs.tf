output "security_group_id" {
  description = "Security group for the replication servers."
  value       = aws_security_group.replication.id
}

output "subnet_id" {
  description = "Subnet of the staging area."
  value       = aws_subnet.this.id
}
