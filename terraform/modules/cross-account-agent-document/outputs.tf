output "name" {
  description = "Name of the document."
  value       = aws_ssm_document.this.name
}
