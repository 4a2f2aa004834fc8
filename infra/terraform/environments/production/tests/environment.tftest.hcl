mock_provider "cloudflare" {}
mock_provider "github" {}
mock_provider "grafana" {}

run "what_is_written_can_be_planned" {
  command = plan

  assert {
    condition     = output.data_source_uid == null || output.data_source_uid == "poe-proxy-fly-production"
    error_message = "The data source is this environment's."
  }
}
