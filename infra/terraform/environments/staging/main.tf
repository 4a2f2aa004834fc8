# Everything around the Fly app. What is inside it (machines, secrets, certificates, addresses) belongs to flyctl.
# Credentials come from the environment: CLOUDFLARE_API_TOKEN, GITHUB_TOKEN, GRAFANA_URL and GRAFANA_AUTH.

locals {
  environment  = "staging"
  secret_names = toset(["ACCESS_TOKENS", "FLY_API_TOKEN", "POE_API_KEYS"])
  # Both environments share the repository, so that one of them holds the branch rules: production.
  required_checks = toset([])

  certificate = lookup(var.fly.certificates, var.hostname, { acme_target = null, ownership_txt = null })
}

provider "cloudflare" {}

provider "github" {
  owner = var.github_owner
}

provider "grafana" {}

module "monitoring" {
  source = "../../modules/monitoring"
  count  = var.fly_org == "" ? 0 : 1

  environment    = local.environment
  app            = var.app
  prometheus_url = "https://api.fly.io/prometheus/${var.fly_org}/"
  alert_emails   = var.alert_emails
  contact_point  = var.contact_point
  runbook_url    = var.github_owner == "" ? "" : "https://github.com/${var.github_owner}/${var.repository}/blob/main/"
}

module "github" {
  source = "../../modules/github"
  count  = var.github_owner == "" ? 0 : 1

  repository         = var.repository
  environment        = local.environment
  reviewers          = var.reviewers
  variables          = { FLY_APP = var.app }
  secret_names       = local.secret_names
  required_checks    = local.required_checks
  required_approvals = var.required_approvals
}

module "dns" {
  source = "../../modules/dns"
  count  = var.hostname == "" ? 0 : 1

  environment   = local.environment
  zone_id       = var.zone_id
  zone_name     = var.zone_name
  hostname      = var.hostname
  ipv4          = var.fly.ipv4
  ipv6          = var.fly.ipv6
  acme_target   = local.certificate.acme_target
  ownership_txt = local.certificate.ownership_txt
}
