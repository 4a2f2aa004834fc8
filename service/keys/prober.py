"""The background task that asks for balances: of every account now and then, of what is out of use until it is back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from service.errors import Failure, Kind
from service.keys.pool import Pool
from service.settings import KeySpec

Probe = Callable[[str], Awaitable[int]]
"""A key's secret → its account's points; raises `Failure`."""

POLL_SECONDS = 300.0
FIRST_POLL_SECONDS = 2.0
"""The first poll waits until the process has started."""
SHORTEST_PAUSE_SECONDS = 0.1
PROBE_SECONDS = 20.0
MOST_PROBES_AT_ONCE = 8

_log = logging.getLogger(__name__)


class Prober:
    """Probes for a pool; `run` goes on until it is cancelled."""

    def __init__(
        self,
        pool: Pool,
        probe: Probe,
        *,
        poll_seconds: float = POLL_SECONDS,
        first_poll_seconds: float = FIRST_POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._probe = probe
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._next_poll = clock() + first_poll_seconds
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Poll and probe whenever something is due; neither waits for the other."""
        self._pool.on_probation = self._news.set
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_polling())
            group.create_task(self._keep_probing())

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(max(self._next_poll - self._clock(), SHORTEST_PAUSE_SECONDS))
            await self.poll_due()

    async def _keep_probing(self) -> None:
        while True:
            await self._wait(self._pool.next_probe())
            await self.probe_due()

    async def poll_due(self) -> None:
        """Ask for the balance of every account, if it is time."""
        if self._clock() >= self._next_poll:
            self._next_poll = self._clock() + self._poll_seconds
            self._pool.forget()
            await self._ask(self._pool.to_poll())

    async def probe_due(self) -> None:
        """Ask for the balances of what is out of use and to be probed by now."""
        await self._ask(self._pool.due())

    async def _wait(self, seconds: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(max(seconds, SHORTEST_PAUSE_SECONDS)):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _ask(self, keys: Iterable[KeySpec]) -> None:
        slots = asyncio.Semaphore(MOST_PROBES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(self._ask_one(key, slots))

    async def _ask_one(self, key: KeySpec, slots: asyncio.Semaphore) -> None:
        async with slots:
            asked = self._clock()
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    points = await self._probe(key.secret)
            except Failure as failure:
                self._pool.balance_refused(key.name, failure, asked=asked)
            except TimeoutError:
                self._pool.balance_refused(key.name, Failure(Kind.SILENT, "No balance in time."), asked=asked)
            except Exception as problem:
                # Its text might hold the key; and one bad probe must not end the probing of all others.
                _log.error("probe of key %s failed: %s", key.name, type(problem).__name__)
                self._pool.balance_refused(key.name, Failure(Kind.BROKEN, "The probe failed."), asked=asked)
            else:
                self._pool.balance_seen(key.name, points, asked=asked)
