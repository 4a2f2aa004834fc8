"""Routing: from a caller's model name to a wire and Poe's name for the model."""
