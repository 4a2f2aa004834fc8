# What production has around its Fly app, and the one file to change. No secret belongs here, and an empty value leaves
# its part out. modules/environment/variables.tf says what else can be given.

locals {
  repository = "" # OWNER/NAME at GitHub
}

module "environment" {
  source = "../../modules/environment"

  name = "production"
  app  = "poe-proxy"

  # Monitoring, in a Grafana of your own (10.4 or newer).
  fly_org      = ""
  alert_emails = []

  # GitHub. Ids of reviewers: gh api users/NAME --jq .id
  repository = local.repository
  reviewers  = []

  # The rules of the main branch: both environments share it, so that one of them has to have them.
  required_checks    = ["check", "test"]
  required_approvals = 1

  # DNS at Cloudflare.
  hostname  = ""
  zone_name = ""
  zone_id   = ""

  # What Fly says of the app; `invoke infra.vars` writes it.
  fly = jsondecode(file("${path.module}/fly.json"))
}
