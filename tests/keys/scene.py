"""Requests that wait for keys, on a clock that jumps to the next timer when nobody can run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from service.errors import Failure, Kind, Refusal
from service.keys.lease import Lease
from service.keys.pool import Pool
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock
from tests.keys.clock import pool_of, take


def limited(retry_after: float | None = None, *, account_wide: bool = False) -> Failure:
    return Failure(Kind.RATE_LIMITED, "slow down", retry_after=retry_after, account_wide=account_wide)


class Scene:
    """A pool on a fake clock, and those who ask it for keys."""

    def __init__(self, loop: ClockLoop, *names: str, **options: Any) -> None:
        self.loop = loop
        options = {"limit_per_minute": 2, "queue_wait": 1000.0, **options}
        self.pool: Pool = pool_of(loop.time, *(names or ("a",)), **options)
        self.served: list[tuple[Any, float]] = []
        self.leases: list[Lease] = []

    def use_up(self, count: int = 2) -> list[Lease]:
        """Take some leases that need not wait."""
        return [take(self.pool) for _ in range(count)]

    def ask(self, name: Any = "", model: str = "m", avoid: frozenset[str] = frozenset()) -> asyncio.Task[None]:
        """Ask for a lease in the background, and note when it came."""

        async def asking() -> None:
            lease = await self.pool.lease(model, avoid=avoid)
            self.leases.append(lease)
            self.served.append((name, self.loop.time()))

        return asyncio.create_task(asking())

    async def settled(self) -> None:
        """Let everybody run who can."""
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def order(self) -> list[Any]:
        """Who was served, in order."""
        return [name for name, _ in self.served]


def on_a_fake_clock(test: Callable[[ClockLoop], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test whose clock jumps to the next timer when nobody can run."""

    def run() -> None:
        run_on_a_fake_clock(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def refusal_of(job: Awaitable[object]) -> Refusal:
    """How a lease was refused."""
    with pytest.raises(Refusal) as caught:
        await job
    return caught.value
