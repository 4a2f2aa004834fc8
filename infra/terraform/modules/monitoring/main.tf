locals {
  group = yamldecode(file("${path.module}/alerts.yaml")).groups[0]

  # The rules are written for one app; this environment's takes its place.
  rules = [for rule in local.group.rules : merge(rule, {
    expr = replace(rule.expr, "app=\"poe-proxy\"", "app=\"${var.app}\"")
    annotations = merge(
      rule.annotations,
      var.runbook_url == "" ? {} : { runbook_url = "${var.runbook_url}${rule.annotations.runbook}" },
    )
  })]

  # The dashboard is written for any source and app; it opens with this environment's.
  board = jsondecode(file("${path.module}/dashboards/overview.json"))
  chosen = {
    source = { text = "Fly ${var.environment}", value = "poe-proxy-fly-${var.environment}" }
    app    = { text = var.app, value = var.app }
  }

  contact_point = var.contact_point == null ? grafana_contact_point.email[0].name : var.contact_point
}

resource "grafana_folder" "this" {
  title = "poe-proxy ${var.environment}"
  uid   = "poe-proxy-${var.environment}"
}

# Terraform makes the data source; `invoke monitor.setup` puts the token into it, and state never learns that.
resource "grafana_data_source" "fly" {
  type              = "prometheus"
  name              = local.chosen.source.text
  uid               = local.chosen.source.value
  url               = var.prometheus_url
  json_data_encoded = jsonencode({ httpMethod = "POST", timeInterval = "15s" })
  http_headers      = { Authorization = "unset" }

  lifecycle {
    ignore_changes = [http_headers]
  }
}

resource "grafana_dashboard" "overview" {
  folder = grafana_folder.this.uid
  # One uid for each environment, since both may live in one Grafana.
  config_json = jsonencode(merge(local.board, {
    uid        = "poe-proxy-${var.environment}"
    title      = "poe-proxy ${var.environment}"
    templating = { list = [for v in local.board.templating.list : merge(v, { current = local.chosen[v.name] })] }
  }))
  overwrite = true
}

resource "grafana_contact_point" "email" {
  count = length(var.alert_emails) > 0 ? 1 : 0

  name = "poe-proxy-${var.environment}"

  email {
    addresses = var.alert_emails
  }
}

resource "grafana_rule_group" "alerts" {
  name             = local.group.name
  folder_uid       = grafana_folder.this.uid
  interval_seconds = 60

  dynamic "rule" {
    for_each = local.rules

    content {
      name        = rule.value.alert
      condition   = "B"
      for         = rule.value.for
      labels      = merge(rule.value.labels, { environment = var.environment })
      annotations = rule.value.annotations

      # The comparison is in the expression: what comes back is a breach, and nothing coming back is health.
      no_data_state  = "OK"
      exec_err_state = "Error"

      data {
        ref_id         = "A"
        datasource_uid = grafana_data_source.fly.uid

        relative_time_range {
          from = 600
          to   = 0
        }

        model = jsonencode({ refId = "A", expr = rule.value.expr, instant = true, range = false })
      }

      data {
        ref_id         = "B"
        datasource_uid = "__expr__"

        relative_time_range {
          from = 0
          to   = 0
        }

        model = jsonencode({
          refId      = "B"
          type       = "threshold"
          expression = "A"
          # Below every value that an expression can have: a series that is there at all.
          conditions = [{ evaluator = { type = "gt", params = [-1e18] } }]
        })
      }

      notification_settings {
        contact_point = local.contact_point
      }
    }
  }
}
