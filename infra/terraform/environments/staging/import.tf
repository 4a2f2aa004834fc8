# `invoke setup` has stored secrets at GitHub already, as a rule. Creating them would put "unset" over their values,
# so that whatever is there is taken into the state as it is, without its value.

data "github_repository_environments" "all" {
  count = var.github_owner == "" ? 0 : 1

  repository = var.repository
}

data "github_actions_environment_secrets" "existing" {
  count = contains(flatten(data.github_repository_environments.all[*].environments[*].name), local.environment) ? 1 : 0

  name        = var.repository
  environment = local.environment
}

import {
  for_each = setintersection(local.secret_names, flatten(data.github_actions_environment_secrets.existing[*].secrets[*].name))
  to       = module.github[0].github_actions_environment_secret.this[each.key]
  id       = "${var.repository}:${local.environment}:${each.key}"
}
