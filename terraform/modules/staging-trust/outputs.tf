output "role_id" {
  description = "Unique id of the role, known only once it exists."
  value       = aws_iam_role.this.unique_id
}
