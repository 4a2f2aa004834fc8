"""Wires: what we speak to an upstream. A wire has one method, `stream(prompt, ...)`, and knows nobody's dialect."""
