"""A local Poe, for trying the gateway without a key and for its tests."""
