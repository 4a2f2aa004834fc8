resource "github_repository_environment" "this" {
  repository          = var.repository
  environment         = var.environment
  prevent_self_review = length(var.reviewers) > 1
  can_admins_bypass   = false

  dynamic "reviewers" {
    for_each = length(var.reviewers) > 0 ? [var.reviewers] : []

    content {
      users = reviewers.value
    }
  }

  deployment_branch_policy {
    protected_branches     = false
    custom_branch_policies = true
  }
}

resource "github_repository_environment_deployment_policy" "branch" {
  for_each = var.branches

  repository     = var.repository
  environment    = github_repository_environment.this.environment
  branch_pattern = each.value
}

resource "github_actions_environment_variable" "this" {
  for_each = var.variables

  repository    = var.repository
  environment   = github_repository_environment.this.environment
  variable_name = each.key
  value         = each.value
}

# Terraform makes sure that the secret is there; whoever holds the value sets it, and state never learns it.
# One that is there already is imported first (existing.tf).
resource "github_actions_environment_secret" "this" {
  for_each = var.secret_names

  repository  = var.repository
  environment = github_repository_environment.this.environment
  secret_name = each.value
  value       = "unset"

  lifecycle {
    ignore_changes = [value]
  }
}

resource "github_repository_ruleset" "main" {
  count = length(var.required_checks) > 0 ? 1 : 0

  name        = "main"
  repository  = var.repository
  target      = "branch"
  enforcement = "active"

  conditions {
    ref_name {
      include = ["~DEFAULT_BRANCH"]
      exclude = []
    }
  }

  rules {
    deletion                = true
    non_fast_forward        = true
    required_linear_history = true

    pull_request {
      required_approving_review_count = var.required_approvals
    }

    required_status_checks {
      strict_required_status_checks_policy = true

      dynamic "required_check" {
        for_each = var.required_checks

        content {
          context = required_check.value
        }
      }
    }
  }
}
