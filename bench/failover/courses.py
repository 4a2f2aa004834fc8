"""What the caller does under a fault: asks once, twenty times in a row, or leaves again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import aiohttp

from bench.failover.caller import Caller, Endpoint, Seen
from bench.failover.faults import LEAVERS, OK, Fault
from bench.failover.judge import Verdict, judged
from bench.failover.play import Wire
from bench.failover.profile import Profile
from bench.failover.rules import BACK_SECONDS, Sight
from bench.failover.upstream import Call, Upstream

SEQUENCE = 20
HEALTHY_WITHIN = 10.0
LEAVE_AFTER = 2.0
SETTLE_SECONDS = 0.5
"""For a gateway to let go of what callers left behind."""
LONGEST_WAIT_SECONDS = 3.0
POLL_SECONDS = 0.02
MARGIN_SECONDS = 5.0
"""Beyond the time in which a recovered model must be in use again."""


@dataclass(frozen=True, slots=True)
class Course:
    """One fault on one wire through one gateway."""

    fault: Fault
    wire: Wire
    profile: Profile
    upstream: Upstream
    endpoint: Endpoint

    async def run(self) -> Verdict:
        """Play the fault, ask for something healthy afterwards, and judge."""
        self.upstream.forget(self.fault.model, self.wire)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            caller = Caller(session, self.endpoint)
            sight = await {"once": self._once, "sequence": self._sequence, "leaving": self._leaving}[self.fault.course](
                caller
            )
        return judged(self.fault, sight)

    async def _once(self, caller: Caller) -> Sight:
        seen = await self._ask(caller)
        return self._sight(seen, await self._healthy(caller))

    async def _sequence(self, caller: Caller) -> Sight:
        """Twenty requests by the clock, whatever became of those before; then on until the model is in use again."""
        began = time.monotonic()
        tasks = []
        for number in range(SEQUENCE):
            await asyncio.sleep(max(0.0, began + number * self.profile.interval_seconds - time.monotonic()))
            tasks.append(asyncio.create_task(self._ask(caller)))
        sequence = list(await asyncio.gather(*tasks))
        calls = self._calls()
        up = (calls[0].at if calls else began) + self.profile.outage_seconds
        while not self._back(up) and time.monotonic() < up + BACK_SECONDS + MARGIN_SECONDS:
            sequence.append(await self._ask(caller))
            await asyncio.sleep(self.profile.interval_seconds)
        worst = next((seen for seen in sequence if seen.asked_at < up and seen.errors), sequence[-1])
        sight = self._sight(worst, await self._healthy(caller))
        return replace(sight, sequence=tuple(sequence), outage=(up - self.profile.outage_seconds, up))

    async def _leaving(self, caller: Caller) -> Sight:
        leavers = [asyncio.create_task(self._ask(caller)) for _ in range(LEAVERS)]
        await asyncio.sleep(self.profile.seconds(LEAVE_AFTER))
        await self._until(lambda: len(self._calls()) >= LEAVERS)  # who never came cannot leave
        for leaver in leavers:
            leaver.cancel()
        await asyncio.wait(leavers)
        left_at = time.monotonic()
        await asyncio.sleep(SETTLE_SECONDS)
        await self._until(lambda: all([call.left_at or call.over for call in self._calls()]))
        seen = await self._ask(caller)
        await asyncio.sleep(SETTLE_SECONDS)
        return replace(self._sight(seen, await self._healthy(caller)), left_at=left_at)

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Give a busy machine some time, and a bad gateway no more of it."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < until and not holds():  # noqa: ASYNC110 - calls set no event
            await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, caller: Caller) -> Seen:
        hang = max(self.profile.seconds(self.fault.hang), HEALTHY_WITHIN)
        return await caller.ask(self.fault.model, self.fault.fallback, within=hang)

    async def _healthy(self, caller: Caller) -> Seen:
        return await caller.ask(OK, self.fault.fallback, within=HEALTHY_WITHIN)

    def _sight(self, seen: Seen, after: Seen) -> Sight:
        return Sight(self.profile, seen, self._calls(), after, self.fault.fallback)

    def _calls(self) -> tuple[Call, ...]:
        return self.upstream.calls(self.fault.model, self.wire)

    def _back(self, up: float) -> bool:
        return any(call.at >= up for call in self._calls())
