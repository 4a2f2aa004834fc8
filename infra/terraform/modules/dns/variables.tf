variable "environment" {
  type        = string
  description = "Name of the environment, for the records' comment."
}

variable "zone_id" {
  type        = string
  description = "Cloudflare's id of the zone."

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.zone_id))
    error_message = "A zone's id is 32 hexadecimal digits; the zone's overview page shows it."
  }
}

variable "zone_name" {
  type        = string
  description = "The zone, as in example.com."
}

variable "hostname" {
  type        = string
  description = "Name the gateway is reached by."

  validation {
    condition     = var.hostname == var.zone_name || endswith(var.hostname, ".${var.zone_name}")
    error_message = "The hostname must lie in the zone."
  }
}

variable "ipv4" {
  type        = list(string)
  default     = []
  description = "IPv4 addresses of the Fly app."

  validation {
    condition     = alltrue([for ip in var.ipv4 : can(cidrhost("${ip}/32", 0)) && !strcontains(ip, ":")])
    error_message = "Each must be an IPv4 address."
  }
}

variable "ipv6" {
  type        = list(string)
  default     = []
  description = "IPv6 addresses of the Fly app."

  validation {
    condition     = alltrue([for ip in var.ipv6 : can(cidrhost("${ip}/128", 0)) && strcontains(ip, ":")])
    error_message = "Each must be an IPv6 address."
  }

  validation {
    condition     = length(var.ipv4) + length(var.ipv6) > 0
    error_message = "The app has no address: `invoke infra.vars` asks Fly for them."
  }
}

variable "acme_target" {
  type        = string
  default     = null
  description = "Where Fly wants the challenge's name to lead; null: it wants none."
}

variable "ownership_txt" {
  type        = string
  default     = null
  description = "What Fly wants to read as a proof of ownership; null: it wants none."
}
