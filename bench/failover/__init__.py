"""The scorecard: sixteen public ways for a provider to fail, and what a caller of a gateway sees of each."""
