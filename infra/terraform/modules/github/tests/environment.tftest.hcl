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
