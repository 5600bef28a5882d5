output "grafana" {
  description = "The dashboard for Grafana, as JSON to import."
  value       = local._grafana
}

output "name" {
  description = "Name of the dashboard in CloudWatch."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
