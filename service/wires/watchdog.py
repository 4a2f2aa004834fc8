"""A limit to an upstream's silence that costs next to nothing for each read.

`asyncio.timeout` around every read takes a timer and a context for each; here one timer a stream looks now and then
whether the deadline has passed, and reading moves the deadline by writing a number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_NEVER = float("inf")


class Watchdog:
    """Calls `bite` once, when nobody has moved the deadline in time. To be used from one event loop, and closed."""

    __slots__ = ("_bite", "_deadline", "_loop", "_timer", "_timer_at")

    def __init__(self, bite: Callable[[], None]) -> None:
        self._bite = bite
        self._loop = asyncio.get_running_loop()
        self._deadline = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER

    def expect(self, seconds: float) -> None:
        """From now on, something has to happen within `seconds`."""
        self._deadline = deadline = self._loop.time() + seconds
        if deadline < self._timer_at:
            self._arm(deadline)

    def rest(self) -> None:
        """Nothing is expected until told otherwise."""
        self._deadline = _NEVER

    def close(self) -> None:
        """No bite any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, _NEVER

    def _arm(self, at: float) -> None:
        self.close()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer, self._timer_at = None, _NEVER
        if self._deadline <= self._loop.time():
            self._bite()
        elif self._deadline != _NEVER:
            self._arm(self._deadline)
