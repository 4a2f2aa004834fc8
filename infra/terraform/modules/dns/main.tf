locals {
  records = merge(
    { for ip in var.ipv4 : ip => { name = var.hostname, type = "A", content = ip } },
    { for ip in var.ipv6 : ip => { name = var.hostname, type = "AAAA", content = ip } },
    var.acme_target == null ? {} : {
      acme = { name = "_acme-challenge.${var.hostname}", type = "CNAME", content = var.acme_target }
    },
    var.ownership_txt == null ? {} : {
      ownership = { name = "_fly-ownership.${var.hostname}", type = "TXT", content = "\"${var.ownership_txt}\"" }
    },
  )
}

resource "cloudflare_dns_record" "this" {
  for_each = local.records

  zone_id = var.zone_id
  name    = each.value.name
  type    = each.value.type
  content = each.value.content
  ttl     = 1 # automatic
  proxied = false
  comment = "poe-proxy ${var.environment}"
}
