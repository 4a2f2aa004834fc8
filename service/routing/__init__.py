"""Routing: from a caller's model name to a wire, Poe's name for the model and the parameters that it takes."""
