"""The contract as code: generated from openapi.yaml by `invoke generate`, edited by nobody."""
