"""The HTTP side: paths to handlers, admission, streaming, errors."""
