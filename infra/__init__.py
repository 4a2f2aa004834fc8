"""Everything around the service: development, deployment, monitoring. Never imported by `service`."""
