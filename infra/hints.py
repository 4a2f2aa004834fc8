"""The next step that a task names acts on the app that the task was about, also where it is pasted elsewhere."""

from __future__ import annotations

import re

_TASK = re.compile(
    r"\./dev (?!(?:bench|check|failover|generate|serve|soak|test|infra\.[a-z]+)\b)[a-z]++(?:\.[a-z]++)?+(?! --app)"
)
"""A task that takes `--app`, with the whole of its name."""


def about(app: str, text: str) -> str:
    """The text with `--app` behind each task that it names; as it is without an app."""
    return _TASK.sub(lambda found: f"{found[0]} --app {app}", text) if app else text
