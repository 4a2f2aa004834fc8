output "data_source_uid" {
  value       = one(module.monitoring[*].data_source_uid)
  description = "The data source that `invoke monitor.setup` gives its token; null without monitoring."
}

output "dashboard_uid" {
  value       = one(module.monitoring[*].dashboard_uid)
  description = "The dashboard, as its address in Grafana has it; null without monitoring."
}
