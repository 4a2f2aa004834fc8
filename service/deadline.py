"""A limit on how long a block of code may take: `asyncio.timeout` at a quarter of its price.

Every request stands under several limits at once, and nearly none of them ever matters.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """`with Deadline(seconds):` cancels the running task when the time is over, and raises `TimeoutError` instead.

    `move` sets a new limit, counted from now. Not to be used across the `yield` of a generator.
    """

    __slots__ = ("_loop", "_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> Deadline:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer = self._loop.call_later(self._seconds, self._pass)
        return self

    def move(self, seconds: float) -> None:
        """Begin to count anew."""
        self._timer.cancel()
        if not self._passed:
            self._timer = self._loop.call_later(seconds, self._pass)

    def _pass(self) -> None:
        self._passed = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._passed or self._task is None:
            return
        # Somebody else may have cancelled the task in the same moment: then that is what counts.
        if self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error
