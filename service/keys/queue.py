"""The queue of those who wait for a key: first come, first served, bounded, left at once by whoever is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, TypeVar

Item = TypeVar("Item")
LATE_SECONDS = 0.001
"""Timers of the loop are that coarse; one that comes a little late is not early."""


class Waiter(Generic[Item]):
    """A request in line. `deadline` is when it gives up; `turn` is set to what it waited for."""

    __slots__ = ("avoid", "deadline", "model", "session", "turn")

    def __init__(self, model: str, avoid: frozenset[str], session: str, deadline: float) -> None:
        self.model = model
        self.avoid = avoid
        self.session = session
        self.deadline = deadline
        self.turn: asyncio.Future[Item] = asyncio.get_running_loop().create_future()


class Queue(Generic[Item]):
    """At most `length` waiters, and one timer, which calls `look` when the first of them may have its turn."""

    def __init__(self, length: int, clock: Callable[[], float], look: Callable[[], None]) -> None:
        self._length = length
        self._clock = clock
        self._look = look
        self._waiters: dict[Waiter[Item], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.wakes_at = inf
        """Until then nobody in line can have a turn, unless something happens."""

    @property
    def full(self) -> bool:
        """Whether nobody may join."""
        return len(self._waiters) >= self._length

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter[Item]]:
        # Who was cancelled in this moment has not left yet, and can be given nothing any more.
        return iter([waiter for waiter in self._waiters if not waiter.turn.cancelled()])

    def join(self, waiter: Waiter[Item]) -> None:
        """Stand at the end of the line."""
        self._waiters[waiter] = None

    def leave(self, waiter: Waiter[Item]) -> None:
        """Be gone, wherever one stood."""
        self._waiters.pop(waiter, None)
        if not self._waiters:
            self.wake_at(inf)

    def serve(self, waiter: Waiter[Item], item: Item) -> None:
        """Give somebody in line what it waited for."""
        self.leave(waiter)
        waiter.turn.set_result(item)

    def refuse(self, waiter: Waiter[Item], why: Exception) -> None:
        """Send somebody in line away."""
        self.leave(waiter)
        waiter.turn.set_exception(why)

    def wake_at(self, moment: float) -> None:
        """Look again at a moment of the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wakes_at = moment
        if moment < inf:
            delay = max(moment - self._clock(), 0.0) + LATE_SECONDS
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)
