mock_provider "cloudflare" {}
mock_provider "github" {}
mock_provider "grafana" {}

variables {
  name         = "production"
  app          = "poe-proxy"
  fly_org      = "acme"
  alert_emails = ["ops@example.com"]
  repository   = "acme/poe-proxy"
  hostname     = "poe.example.com"
  zone_name    = "example.com"
  zone_id      = "0123456789abcdef0123456789abcdef"

  fly = {
    ipv4 = ["203.0.113.7"]
    ipv6 = ["2001:db8::7"]
    certificates = {
      "poe.example.com"   = { acme_target = "poe.example.com.abc.flydns.net" }
      "other.example.com" = { ownership_txt = "app-1234" }
    }
  }
}

run "everything" {
  command = apply

  variables {
    required_checks = ["check", "test"]
  }

  assert {
    condition     = module.dns[0].names == tolist(["_acme-challenge.poe.example.com", "poe.example.com"])
    error_message = "The host's addresses, and the challenge that Fly asked for."
  }
  assert {
    condition     = module.monitoring[0].dashboard_uid == "poe-proxy-production"
    error_message = "The dashboard is this environment's."
  }
  assert {
    condition     = module.github[0].environment == "production" && module.github[0].checks == toset(["check", "test"])
    error_message = "The environment at GitHub, and the branch rules where they were asked for."
  }
}

run "branch_rules_of_another_environment" {
  command = plan

  assert {
    condition     = length(module.github) == 1 && length(module.github[0].checks) == 0
    error_message = "Without checks the branch is left to whoever has them."
  }
}

run "nothing_is_wanted" {
  command = plan

  variables {
    fly_org    = ""
    repository = ""
    hostname   = ""
  }

  assert {
    condition     = length(module.monitoring) + length(module.github) + length(module.dns) == 0
    error_message = "An empty value leaves its part out."
  }
  assert {
    condition     = output.data_source_uid == null && length(merge(output.existing_secrets, output.existing_variables)) == 0
    error_message = "There is nothing to give a token to, and nothing to import."
  }
}

run "a_host_before_fly_was_asked" {
  command = plan

  variables {
    fly = {}
  }

  expect_failures = [var.fly]
}

run "a_repository_without_its_owner" {
  command = plan

  variables {
    repository = "poe-proxy"
  }

  expect_failures = [var.repository]
}

run "unknown_environment" {
  command = plan

  variables {
    name = "test"
  }

  expect_failures = [var.name]
}

run "what_github_has_is_imported" {
  command = plan

  override_data {
    target = module.github[0].data.github_repository_environments.all
    values = { environments = [{ name = "production", node_id = "E_1" }] }
  }
  override_data {
    target = module.github[0].data.github_actions_environment_secrets.existing
    values = { secrets = [{ name = "POE_API_KEYS", created_at = "", updated_at = "" }] }
  }
  override_data {
    target = module.github[0].data.github_actions_environment_variables.existing
    values = { variables = [{ name = "FLY_APP", value = "", created_at = "", updated_at = "" }] }
  }

  assert {
    condition     = output.existing_secrets == { POE_API_KEYS = "poe-proxy:production:POE_API_KEYS" }
    error_message = "A secret that is there keeps its value."
  }
  assert {
    condition     = output.existing_variables == { FLY_APP = "poe-proxy:production:FLY_APP" }
    error_message = "A variable that is there cannot be made."
  }
}

run "a_contact_point_of_grafana_itself" {
  command = plan

  variables {
    alert_emails  = []
    contact_point = "slack"
  }

  assert {
    condition     = length(module.monitoring) == 1
    error_message = "Instead of addresses a contact point says who is told."
  }
}
