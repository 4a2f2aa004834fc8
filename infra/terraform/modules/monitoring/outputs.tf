output "data_source_uid" {
  value       = grafana_data_source.fly.uid
  description = "The data source that `invoke monitor.setup` gives its token."
}

output "dashboard_uid" {
  value       = jsondecode(grafana_dashboard.overview.config_json).uid
  description = "The dashboard, as its address has it."
}
