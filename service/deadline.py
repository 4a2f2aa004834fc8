"""Limits on how long blocks of code may take: `asyncio.timeout` at a fifth of its price, to a twentieth of a second.

Every request stands under several limits at once, and nearly none of them ever matters. So none has a timer of its
own: while there are any, one timer of the process looks at all of them.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

LOOK_SECONDS = 0.05


class Deadlines:
    """The limits of one event loop. `with deadlines.within(seconds):` raises `TimeoutError` where it takes longer."""

    def __init__(self) -> None:
        # Asking for the running loop costs a system call before Python 3.12, so that it is asked once.
        self.loop = asyncio.get_running_loop()
        self._running: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> Deadline:
        """A limit for a block that the running task enters now. Not to be used across the `yield` of a generator."""
        return Deadline(self, seconds)

    def add(self, deadline: Deadline) -> None:
        """Look at a limit from now on."""
        self._running.add(deadline)
        if self._timer is None:
            self._timer = self.loop.call_later(LOOK_SECONDS, self._look)

    def discard(self, deadline: Deadline) -> None:
        """Forget a limit."""
        self._running.discard(deadline)

    def _look(self) -> None:
        now = self.loop.time()
        for deadline in [deadline for deadline in self._running if deadline.ends_at <= now]:
            self._running.discard(deadline)
            deadline.pass_()
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look) if self._running else None

    def __len__(self) -> int:
        return len(self._running)


class Deadline:
    """One limit: cancels its task when the time is over, and turns that into `TimeoutError`.

    Inside of the block it is still a cancellation; `passed` tells the two apart.
    """

    __slots__ = ("_all", "_seconds", "_task", "ends_at", "passed")

    def __init__(self, all_: Deadlines, seconds: float) -> None:
        self._all = all_
        self._seconds = seconds
        self.passed = False

    def __enter__(self) -> Deadline:
        loop = self._all.loop
        self._task = asyncio.current_task(loop)
        self.ends_at = loop.time() + self._seconds
        self._all.add(self)
        return self

    def begin_anew(self, seconds: float) -> None:
        """What follows may take so long, from now on."""
        self.ends_at = self._all.loop.time() + seconds

    def pass_(self) -> None:
        """The time is over."""
        self.passed = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._all.discard(self)
        if not self.passed or self._task is None:
            return
        # Somebody else may have cancelled the task in the same moment: then that is what counts.
        if self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error
