output "environment" {
  value       = github_repository_environment.this.environment
  description = "The environment's name, once it exists."
}

output "checks" {
  value       = toset(flatten(github_repository_ruleset.main[*].rules[*].required_status_checks[*].required_check[*].context))
  description = "Jobs that the branch rules ask for; empty where the rules belong to another environment."
}

output "existing_secrets" {
  value = {
    for name in setintersection(var.secret_names, local.secrets_there) :
    name => "${var.repository}:${var.environment}:${name}"
  }
  description = "Secrets that GitHub has already, and the ids to import them by."
}

output "existing_variables" {
  value = {
    for name in setintersection(keys(var.variables), local.variables_there) :
    name => "${var.repository}:${var.environment}:${name}"
  }
  description = "Variables that GitHub has already, and the ids to import them by."
}
