mock_provider "cloudflare" {}

variables {
  environment = "staging"
  zone_id     = "0123456789abcdef0123456789abcdef"
  zone_name   = "example.com"
  hostname    = "poe.example.com"
  ipv4        = ["203.0.113.7"]
  ipv6        = ["2001:db8::7"]
}

run "addresses_only" {
  command = plan

  assert {
    condition     = { for r in cloudflare_dns_record.this : r.type => r.content } == { A = "203.0.113.7", AAAA = "2001:db8::7" }
    error_message = "One record for each address, and no challenge without a target."
  }
}

run "with_challenge" {
  command = apply

  variables {
    acme_target   = "poe.example.com.abc123.flydns.net"
    ownership_txt = "app-1234"
  }

  assert {
    condition     = cloudflare_dns_record.this["acme"].name == "_acme-challenge.poe.example.com"
    error_message = "The challenge is asked for under the host."
  }
  assert {
    condition     = cloudflare_dns_record.this["ownership"].content == "\"app-1234\""
    error_message = "A text record's content is quoted."
  }
  assert {
    condition     = alltrue([for r in cloudflare_dns_record.this : r.proxied == false])
    error_message = "Proxied records break Fly's certificates."
  }
}

run "the_zone_itself" {
  command = plan

  variables {
    hostname = "example.com"
  }

  assert {
    condition     = output.names == tolist(["example.com"])
    error_message = "The top of a zone takes addresses."
  }
}

run "host_outside_zone" {
  command = plan

  variables {
    hostname = "poe.notexample.com"
  }

  expect_failures = [var.hostname]
}

run "no_address" {
  command = plan

  variables {
    ipv4 = []
    ipv6 = []
  }

  expect_failures = [var.ipv6]
}

run "an_ipv6_address_for_ipv4" {
  command = plan

  variables {
    ipv4 = ["2001:db8::7"]
  }

  expect_failures = [var.ipv4]
}

run "an_ipv4_address_for_ipv6" {
  command = plan

  variables {
    ipv6 = ["203.0.113.7"]
  }

  expect_failures = [var.ipv6]
}
