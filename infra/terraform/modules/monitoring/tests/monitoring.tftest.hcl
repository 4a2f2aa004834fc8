mock_provider "grafana" {
  mock_resource "grafana_data_source" {
    defaults = { uid = "poe-proxy-fly-staging" }
  }
}

variables {
  environment    = "staging"
  app            = "poe-proxy-staging"
  prometheus_url = "https://api.fly.io/prometheus/acme/"
  alert_emails   = ["ops@example.com"]
}

run "every_alert_has_a_rule" {
  command = apply

  assert {
    condition     = [for r in grafana_rule_group.alerts.rule : r.name] == [for r in yamldecode(file("alerts.yaml")).groups[0].rules : r.alert]
    error_message = "One rule of Grafana for each alert."
  }
  assert {
    condition     = alltrue([for r in grafana_rule_group.alerts.rule : r.notification_settings[0].contact_point == "poe-proxy-staging"])
    error_message = "Alerts go to the environment's own contact point."
  }
  assert {
    condition     = alltrue([for r in grafana_rule_group.alerts.rule : r.data[0].datasource_uid == "poe-proxy-fly-staging"])
    error_message = "Alerts ask this environment's Prometheus."
  }
}

run "alerts_watch_this_app_alone" {
  command = plan

  assert {
    condition     = alltrue([for r in grafana_rule_group.alerts.rule : r.no_data_state == "OK" && r.exec_err_state == "Error"])
    error_message = "No breach is health; a Prometheus that cannot be asked is none."
  }
  assert {
    condition     = alltrue([for r in grafana_rule_group.alerts.rule : strcontains(jsondecode(r.data[0].model).expr, "app=\"poe-proxy-staging\"")])
    error_message = "Each alert asks for the environment's app."
  }
  assert {
    condition     = alltrue([for r in grafana_rule_group.alerts.rule : !strcontains(jsondecode(r.data[0].model).expr, "app=\"poe-proxy\"")])
    error_message = "No alert asks for the app of the rule file."
  }
}

run "alerts_link_to_the_runbook" {
  command = plan

  variables {
    runbook_url = "https://github.com/acme/poe-proxy/blob/main/"
  }

  assert {
    condition     = alltrue([for r in grafana_rule_group.alerts.rule : r.annotations["runbook_url"] == "https://github.com/acme/poe-proxy/blob/main/docs/runbook.md#${lower(r.name)}"])
    error_message = "Each alert says where its section is."
  }
}

run "the_token_is_a_placeholder" {
  command = plan

  assert {
    condition     = grafana_data_source.fly.http_headers["Authorization"] == "unset"
    error_message = "No token may pass through Terraform."
  }
}

run "the_dashboard_has_a_uid_of_its_environment" {
  command = plan

  assert {
    condition     = jsondecode(grafana_dashboard.overview.config_json).uid == "poe-proxy-staging"
    error_message = "A dashboard without a fixed uid is made anew at each rename."
  }
  assert {
    condition     = length(jsondecode(grafana_dashboard.overview.config_json).panels) > 10
    error_message = "The dashboard has lost its panels."
  }
}

run "the_dashboard_opens_with_this_environments_app" {
  command = plan

  assert {
    condition     = { for v in jsondecode(grafana_dashboard.overview.config_json).templating.list : v.name => v.current.value } == { app = "poe-proxy-staging", source = "poe-proxy-fly-staging" }
    error_message = "Source and app are chosen already."
  }
}

run "a_contact_point_of_grafana_itself" {
  command = plan

  variables {
    alert_emails  = []
    contact_point = "slack"
  }

  assert {
    condition     = length(grafana_contact_point.email) == 0 && grafana_rule_group.alerts.rule[0].notification_settings[0].contact_point == "slack"
    error_message = "The named contact point is used and none is made."
  }
}

run "nobody_to_tell" {
  command = plan

  variables {
    alert_emails = []
  }

  expect_failures = [var.contact_point]
}

run "a_password_in_the_address" {
  command = plan

  variables {
    prometheus_url = "https://name:word@api.fly.io/prometheus/acme/"
  }

  expect_failures = [var.prometheus_url]
}

run "unknown_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}
