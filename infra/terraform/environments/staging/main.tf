# What staging has around its Fly app, and the one file to change. No secret belongs here, and an empty value leaves
# its part out. modules/environment/variables.tf says what else can be given.

locals {
  repository = "" # OWNER/NAME at GitHub
}

module "environment" {
  source = "../../modules/environment"

  name = "staging"
  app  = "poe-proxy-staging"

  # Monitoring, in a Grafana of your own (10.4 or newer).
  fly_org      = ""
  alert_emails = []

  # GitHub. Ids of reviewers: gh api users/NAME --jq .id
  repository = local.repository
  reviewers  = []

  # DNS at Cloudflare.
  hostname  = ""
  zone_name = ""
  zone_id   = ""

  # What Fly says of the app; `invoke infra.vars` writes it.
  fly = jsondecode(file("${path.module}/fly.json"))
}
