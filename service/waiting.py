"""The time that a request spends waiting for Poe, kept apart from the time that is ours."""

from __future__ import annotations

from time import perf_counter


class Waiting:
    """How long a request has waited for Poe, in seconds: what is left of its time is this process's own.

    One wait at a time: `begin`, then `end`, which tells how long it was.
    """

    __slots__ = ("_began", "_seconds")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._began = 0.0

    @property
    def seconds(self) -> float:
        """All waits, with the one that is under way."""
        return self._seconds + (perf_counter() - self._began if self._began else 0.0)

    def begin(self) -> None:
        """From now on it is waited."""
        self._began = perf_counter()

    def end(self) -> float:
        """It is waited no longer; the seconds that it took."""
        seconds = perf_counter() - self._began
        self._began = 0.0
        self._seconds += seconds
        return seconds

    def add(self, seconds: float) -> None:
        """So long was waited elsewhere."""
        self._seconds += seconds
