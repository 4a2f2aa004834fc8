variable "name" {
  type        = string
  description = "Name of the environment: staging or production."

  validation {
    condition     = contains(["staging", "production"], var.name)
    error_message = "The environment is staging or production."
  }
}

variable "app" {
  type        = string
  description = "The Fly app of this environment."
}

variable "fly_org" {
  type        = string
  default     = ""
  description = "The Fly organisation's slug, whose Prometheus Grafana asks. Empty: no monitoring."
}

variable "alert_emails" {
  type        = list(string)
  default     = []
  description = "Who gets the alerts by e-mail."
}

variable "contact_point" {
  type        = string
  default     = null
  description = "Instead of alert_emails: a contact point that was made in Grafana itself."
}

variable "repository" {
  type        = string
  default     = ""
  description = "The repository on GitHub, OWNER/NAME. Empty: nothing there is touched."

  validation {
    condition     = can(regex("^([A-Za-z0-9-]+/[A-Za-z0-9._-]+)?$", var.repository))
    error_message = "OWNER/NAME, as in the repository's address."
  }
}

variable "reviewers" {
  type        = list(number)
  default     = []
  description = "Ids of the GitHub users who approve a deployment here. Empty: nobody is asked."
}

variable "required_checks" {
  type        = set(string)
  default     = []
  description = "Jobs that must have passed before something is merged. Empty: the branch rules belong to another environment."
}

variable "required_approvals" {
  type        = number
  default     = 1
  description = "Approvals that a pull request needs; 0 for somebody who works alone."
}

variable "hostname" {
  type        = string
  default     = ""
  description = "Name the gateway is reached by. Empty: no records, APP.fly.dev alone."
}

variable "zone_name" {
  type        = string
  default     = ""
  description = "Cloudflare's zone that the hostname lies in."
}

variable "zone_id" {
  type        = string
  default     = ""
  description = "The zone's id."
}

variable "fly" {
  type = object({
    ipv4 = optional(list(string), [])
    ipv6 = optional(list(string), [])
    certificates = optional(map(object({
      acme_target   = optional(string)
      ownership_txt = optional(string)
    })), {})
  })
  default     = {}
  description = "What Fly says of the app: `invoke infra.vars` writes it into fly.json."

  validation {
    condition     = var.hostname == "" || length(var.fly.ipv4) + length(var.fly.ipv6) > 0
    error_message = "The app's addresses are not known: run `invoke infra.vars` first."
  }
}
