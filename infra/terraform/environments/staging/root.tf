# What Terraform wants in a root and nowhere else: the state, the providers, imports, and what the tasks read.

terraform {
  required_version = ">= 1.11"

  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.0"
    }
    github = {
      source  = "integrations/github"
      version = "~> 6.13"
    }
    grafana = {
      source  = "grafana/grafana"
      version = "~> 4.0"
    }
  }

  # Any S3 that knows conditional requests, Tigris for one. `invoke infra.plan` names the bucket, the environment
  # (AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) the rest.
  backend "s3" {
    key            = "staging/terraform.tfstate"
    region         = "auto"
    use_lockfile   = true
    use_path_style = true

    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    skip_s3_checksum            = true
  }
}

provider "cloudflare" {}

provider "github" {
  owner = split("/", local.repository)[0]
}

provider "grafana" {}

import {
  for_each = module.environment.existing_secrets
  to       = module.environment.module.github[0].github_actions_environment_secret.this[each.key]
  id       = each.value
}

import {
  for_each = module.environment.existing_variables
  to       = module.environment.module.github[0].github_actions_environment_variable.this[each.key]
  id       = each.value
}

output "data_source_uid" {
  value       = module.environment.data_source_uid
  description = "The data source that `invoke monitor.setup` gives its token; null without monitoring."
}
