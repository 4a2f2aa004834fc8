output "data_source_uid" {
  value       = one(module.monitoring[*].data_source_uid)
  description = "The data source that `invoke monitor.setup` gives its token; null without monitoring."
}

# Imports wait for these two, so that they must not wait for what is imported: `module.github[*]` would.

output "existing_secrets" {
  value       = try(module.github[0].existing_secrets, {})
  description = "Secrets that GitHub has already, and the ids to import them by."
}

output "existing_variables" {
  value       = try(module.github[0].existing_variables, {})
  description = "Variables that GitHub has already, and the ids to import them by."
}
