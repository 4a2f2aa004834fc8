"""Stages: what happens to an answer's events between the wire and the dialect, the same for all of both."""
