# Everything around one environment's Fly app. What is inside it (machines, secrets, certificates, addresses) belongs to
# flyctl. Credentials come from the environment: CLOUDFLARE_API_TOKEN, GITHUB_TOKEN, GRAFANA_URL and GRAFANA_AUTH.

locals {
  certificate = lookup(var.fly.certificates, var.hostname, { acme_target = null, ownership_txt = null })
}

module "monitoring" {
  source = "../monitoring"
  count  = var.fly_org == "" ? 0 : 1

  environment    = var.name
  app            = var.app
  prometheus_url = "https://api.fly.io/prometheus/${var.fly_org}/"
  alert_emails   = var.alert_emails
  contact_point  = var.contact_point
  runbook_url    = var.repository == "" ? "" : "https://github.com/${var.repository}/blob/main/"
}

module "github" {
  source = "../github"
  count  = var.repository == "" ? 0 : 1

  repository         = split("/", var.repository)[1]
  environment        = var.name
  reviewers          = var.reviewers
  variables          = { FLY_APP = var.app }
  secret_names       = ["ACCESS_TOKENS", "FLY_API_TOKEN", "POE_API_KEYS"]
  required_checks    = var.required_checks
  required_approvals = var.required_approvals
}

module "dns" {
  source = "../dns"
  count  = var.hostname == "" ? 0 : 1

  environment   = var.name
  zone_id       = var.zone_id
  zone_name     = var.zone_name
  hostname      = var.hostname
  ipv4          = var.fly.ipv4
  ipv6          = var.fly.ipv6
  acme_target   = local.certificate.acme_target
  ownership_txt = local.certificate.ownership_txt
}
