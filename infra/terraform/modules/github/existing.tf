# `invoke setup` has stored secrets and the app's name at GitHub already, as a rule. Creating a secret would put "unset"
# over its value, and a variable that is there cannot be created: environments import what these find.

data "github_repository_environments" "all" {
  repository = var.repository
}

locals {
  exists = contains(data.github_repository_environments.all.environments[*].name, var.environment)
}

data "github_actions_environment_secrets" "existing" {
  count = local.exists ? 1 : 0

  name        = var.repository
  environment = var.environment
}

data "github_actions_environment_variables" "existing" {
  count = local.exists ? 1 : 0

  name        = var.repository
  environment = var.environment
}

locals {
  secrets_there   = flatten(data.github_actions_environment_secrets.existing[*].secrets[*].name)
  variables_there = flatten(data.github_actions_environment_variables.existing[*].variables[*].name)
}
