mock_provider "github" {}

variables {
  repository  = "poe-proxy"
  environment = "production"
}

run "no_reviewers_no_approval" {
  command = plan

  assert {
    condition     = length(github_repository_environment.this.reviewers) == 0
    error_message = "Without reviewers no approval is asked for."
  }
  assert {
    condition     = length(github_repository_ruleset.main) == 0
    error_message = "Without checks the branch is left alone."
  }
}

run "only_main_deploys" {
  command = plan

  assert {
    condition     = [for p in github_repository_environment_deployment_policy.branch : p.branch_pattern] == ["main"]
    error_message = "No other branch may deploy."
  }
  assert {
    condition     = github_repository_environment.this.can_admins_bypass == false
    error_message = "Administrators wait for the approval as well."
  }
}

run "secrets_are_placeholders" {
  command = apply

  variables {
    reviewers       = [101, 102]
    secret_names    = ["FLY_API_TOKEN"]
    required_checks = ["check"]
  }

  assert {
    condition     = github_actions_environment_secret.this["FLY_API_TOKEN"].value == "unset"
    error_message = "No secret's value may pass through Terraform."
  }
  assert {
    condition     = github_repository_ruleset.main[0].enforcement == "active" && github_repository_ruleset.main[0].rules[0].non_fast_forward && github_repository_ruleset.main[0].rules[0].deletion
    error_message = "The branch's rules are in force, and its past cannot be rewritten."
  }
  assert {
    condition     = github_repository_ruleset.main[0].rules[0].required_status_checks[0].strict_required_status_checks_policy
    error_message = "What is merged was tested on top of what is there."
  }
  assert {
    condition     = github_repository_environment.this.deployment_branch_policy[0].custom_branch_policies
    error_message = "The branches that may deploy are those that are listed."
  }
  assert {
    condition     = github_repository_environment.this.prevent_self_review
    error_message = "With two reviewers nobody passes their own deployment."
  }
  assert {
    condition     = [for c in github_repository_ruleset.main[0].rules[0].required_status_checks[0].required_check : c.context] == ["check"]
    error_message = "What was asked for must have passed."
  }
}

run "one_reviewer_may_pass_their_own" {
  command = plan

  variables {
    reviewers = [101]
  }

  assert {
    condition     = github_repository_environment.this.prevent_self_review == false
    error_message = "With one reviewer nobody could ever deploy otherwise."
  }
}

run "reserved_name" {
  command = plan

  variables {
    secret_names = ["GITHUB_TOKEN"]
  }

  expect_failures = [var.secret_names]
}

run "owner_in_the_name" {
  command = plan

  variables {
    repository = "acme/poe-proxy"
  }

  expect_failures = [var.repository]
}

run "nobody_may_deploy" {
  command = plan

  variables {
    branches = []
  }

  expect_failures = [var.branches]
}

run "nothing_is_there_yet" {
  command = plan

  variables {
    secret_names = ["FLY_API_TOKEN"]
    variables    = { FLY_APP = "poe-proxy" }
  }

  assert {
    condition     = length(merge(output.existing_secrets, output.existing_variables)) == 0
    error_message = "What GitHub does not have is made, and not imported."
  }
}

run "what_is_there_is_named_with_its_id" {
  command = plan

  variables {
    secret_names = ["FLY_API_TOKEN", "POE_API_KEYS"]
    variables    = { FLY_APP = "poe-proxy" }
  }

  override_data {
    target = data.github_repository_environments.all
    values = { environments = [{ name = "production", node_id = "E_1" }] }
  }
  override_data {
    target = data.github_actions_environment_secrets.existing
    values = { secrets = [{ name = "FLY_API_TOKEN", created_at = "", updated_at = "" }, { name = "ANOTHER", created_at = "", updated_at = "" }] }
  }
  override_data {
    target = data.github_actions_environment_variables.existing
    values = { variables = [{ name = "FLY_APP", value = "", created_at = "", updated_at = "" }] }
  }

  assert {
    condition     = output.existing_secrets == { FLY_API_TOKEN = "poe-proxy:production:FLY_API_TOKEN" }
    error_message = "A secret that is there and wanted is imported, and no other."
  }
  assert {
    condition     = output.existing_variables == { FLY_APP = "poe-proxy:production:FLY_APP" }
    error_message = "A variable that is there is imported."
  }
}
