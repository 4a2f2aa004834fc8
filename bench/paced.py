"""Many slow streams at once: how late does an event come that the upstream sent on time?"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from bench import answers
from bench.cases import Case
from bench.http11 import Reader
from bench.load import Endpoint, Tally

ON_TIME_US = 50_000
RAMP_SECONDS = 2.0
GRACE_SECONDS = 5.0
"""How long the streams may take beyond their length before what is missing counts as late."""

STAMPED_EVENT = re.compile(rb"(\d{16});[^\n]*\n\r?\n")


@dataclass(frozen=True, slots=True)
class PacedSample:
    """Delays of all events that arrived, in microseconds and sorted; `promised` events should have arrived.

    `late_streams` had an event that came late, `unfinished_streams` had not ended when the time was up.
    """

    delays_us: tuple[int, ...]
    promised: int
    late_streams: int
    unfinished_streams: int
    cpu_seconds: float

    @property
    def on_time(self) -> float:
        """The share of promised events that came within 50 ms of their sending."""
        return sum(1 for delay in self.delays_us if delay <= ON_TIME_US) / self.promised

    @property
    def p99_ms(self) -> float:
        """The delay that 99 of 100 promised events kept under, in ms; infinite where more than that never came."""
        place = int(self.promised * 0.99)
        return self.delays_us[place] / 1000 if place < len(self.delays_us) else float("inf")


class PacedCaller(asyncio.Protocol):
    """One stream: notes when each event was whole, and checks everything at the end."""

    def __init__(self, request: bytes, check: answers.StreamCheck, tally: Tally) -> None:
        self._request = request
        self._check = check
        self._tally = tally
        self._reader = Reader()
        self._arrivals: list[tuple[int, int]] = []
        self._received = 0
        self._transport: asyncio.WriteTransport | None = None
        self.delays_us: list[int] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            new = self._reader.feed(data)
            if new:
                self._received += len(new)
                self._arrivals.append((self._received, time.monotonic_ns() // 1000))
            if self._reader.complete:
                self._judge()
        except (answers.Wrong, ValueError) as error:
            self._tally.complain(str(error))
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._tally.complain(f"the connection ended before the stream did: {exc!r}")
            self.ended.set_result(None)

    def cut_off(self) -> bool:
        """Ends a stream that is not over, counting what came; whether it had to."""
        if self.ended.done():
            return False
        self._end()
        self._read_delays(self._reader.body())
        return True

    def _judge(self) -> None:
        body = self._reader.body()
        if self._reader.head[9:12] != b"200":
            raise answers.Wrong(f"status {self._reader.head[9:12]!r}: {body[:300]!r}")
        answers.stamps(self._check.contents(body))
        self._read_delays(body)
        self._tally.right += 1
        self._end()

    def _read_delays(self, body: bytes) -> None:
        """An event has arrived when the blank line behind it has."""
        arrivals = iter(self._arrivals)
        reached = at_us = 0
        for event in STAMPED_EVENT.finditer(body):
            while reached < event.end():
                reached, at_us = next(arrivals)
            self.delays_us.append(at_us - int(event[1]))

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()


async def drive_paced(
    endpoint: Endpoint,
    case: Case,
    *,
    streams: int,
    events_per_second: float,
    cpu_seconds: Callable[[], float],
    total: Tally,
) -> PacedSample:
    """Starts `streams` streams evenly over the ramp and reads them to their end, or until the grace is over."""
    loop = asyncio.get_running_loop()
    model = case.model if endpoint.exact_model else None
    check = answers.StreamCheck(case, model)
    request = endpoint.request(case)
    cpu_before, began = cpu_seconds(), loop.time()
    callers = []
    for number in range(streams):
        await asyncio.sleep(began + number * RAMP_SECONDS / streams - loop.time())
        connection = await loop.create_connection(
            lambda: PacedCaller(request, check, total), endpoint.host, endpoint.port
        )
        callers.append(connection[1])
    length = case.pieces / events_per_second
    await asyncio.wait([caller.ended for caller in callers], timeout=length + GRACE_SECONDS)
    spent = cpu_seconds() - cpu_before
    unfinished = sum([caller.cut_off() for caller in callers])
    delays = sorted([delay for caller in callers for delay in caller.delays_us])
    late = sum([any(delay > ON_TIME_US for delay in caller.delays_us) for caller in callers])
    return PacedSample(tuple(delays), streams * case.pieces, late, unfinished, spent)
