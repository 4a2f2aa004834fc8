variable "environment" {
  type        = string
  description = "Name of the environment; part of every name in Grafana."

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "app" {
  type        = string
  description = "The Fly app whose metrics are shown and watched."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]*$", var.app))
    error_message = "An app's name has lower case letters, digits and dashes."
  }
}

variable "prometheus_url" {
  type        = string
  description = "Fly's Prometheus, https://api.fly.io/prometheus/ORG/."

  validation {
    condition     = can(regex("^https://[^@]+/$", var.prometheus_url))
    error_message = "An https address without a password in it, with a slash at its end."
  }
}

variable "alert_emails" {
  type        = list(string)
  default     = []
  description = "Who gets the alerts by e-mail. Empty: contact_point says who."

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s,;]+@[^@\\s,;]+$", address))])
    error_message = "Each must be an e-mail address."
  }
}

variable "contact_point" {
  type        = string
  default     = null
  description = "Name of a contact point that was made in Grafana itself, for what has a secret in its address (Slack, a webhook)."

  validation {
    condition     = (var.contact_point == null) != (length(var.alert_emails) == 0)
    error_message = "Give either alert_emails or contact_point."
  }
}

variable "runbook_url" {
  type        = string
  default     = ""
  description = "Where the repository's files can be read, with a slash at its end; alerts then link to the runbook."
}
