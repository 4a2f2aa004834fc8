# What this environment is made of. No secret belongs here, and an empty value leaves its part out.

app = "poe-proxy"

# Monitoring, in a Grafana of your own (10.4 or newer).
fly_org      = ""
alert_emails = []

# GitHub. Ids of reviewers: gh api users/NAME --jq .id
github_owner       = ""
repository         = "poe-proxy"
reviewers          = []
required_approvals = 1

# DNS at Cloudflare.
hostname  = ""
zone_name = ""
zone_id   = ""
