output "names" {
  value       = sort(distinct([for record in cloudflare_dns_record.this : record.name]))
  description = "The names that have records."
}
