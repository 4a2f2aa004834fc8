output "environment" {
  value       = github_repository_environment.this.environment
  description = "The environment's name, once it exists."
}

output "checks" {
  value       = toset(flatten(github_repository_ruleset.main[*].rules[*].required_status_checks[*].required_check[*].context))
  description = "Jobs that the branch rules ask for; empty where the rules belong to another environment."
}
