"""The sandbox's models: what each of them answers."""
