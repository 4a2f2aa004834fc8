"""The time that a request spends waiting for Poe, kept apart from the time that is ours."""

from __future__ import annotations


class Waiting:
    """How long a request has waited for Poe, in seconds: what is left of its time is this process's own."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0
