mock_provider "cloudflare" {}
mock_provider "github" {}
mock_provider "grafana" {}

variables {
  app          = "poe-proxy"
  fly_org      = "acme"
  alert_emails = ["ops@example.com"]
  github_owner = "acme"
  repository   = "poe-proxy"
  hostname     = "poe.example.com"
  zone_name    = "example.com"
  zone_id      = "0123456789abcdef0123456789abcdef"

  fly = {
    ipv4         = ["203.0.113.7"]
    ipv6         = ["2001:db8::7"]
    certificates = { "poe.example.com" = { acme_target = "poe.example.com.abc.flydns.net" } }
  }
}

run "everything" {
  command = apply

  assert {
    condition     = module.dns[0].names == tolist(["_acme-challenge.poe.example.com", "poe.example.com"])
    error_message = "The host's addresses, and the challenge that Fly asked for."
  }
  assert {
    condition     = output.dashboard_uid == "poe-proxy-production"
    error_message = "The dashboard is this environment's."
  }
  assert {
    condition     = module.github[0].checks == toset(["check", "test"])
    error_message = "The branch rules belong here."
  }
}

run "nothing_is_wanted" {
  command = plan

  variables {
    fly_org      = ""
    github_owner = ""
    hostname     = ""
  }

  assert {
    condition     = length(module.monitoring) + length(module.github) + length(module.dns) == 0
    error_message = "An empty value leaves its part out."
  }
}

run "a_host_before_fly_was_asked" {
  command = plan

  variables {
    fly = {}
  }

  expect_failures = [var.fly]
}
