"""The load: raw connections that ask, read the answer whole, check it, and ask again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from bench import answers
from bench.cases import Case
from bench.http11 import Reader

ANSWER_TIMEOUT_SECONDS = 60.0
KEPT_COMPLAINTS = 5
SECOND_ATTEMPT = b"x-proxy-attempts: 2\r\n"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a contestant listens and how it is asked; `exact_model`: its answers must name the model that was asked."""

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    model_prefix: str = ""
    exact_model: bool = True

    def request(self, case: Case) -> bytes:
        """The bytes of one request."""
        body = case.body
        if self.model_prefix:
            body = body.replace(b'"model":"', b'"model":"' + self.model_prefix.encode())
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"host: {self.host}:{self.port}",
            "accept: */*",
            "user-agent: bench",
            "content-type: application/json",
            *[f"{name}: {value}" for name, value in self.headers],
            f"content-length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(slots=True)
class Tally:
    """What came back: how many answers were right, how long each took, and what was wrong with the others."""

    right: int = 0
    wrong: int = 0
    complaints: list[str] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    repeated_ns: list[int] = field(default_factory=list)
    """Of the answers that took a second attempt, which the gateway tells."""

    def complain(self, complaint: str) -> None:
        """Counts a wrong answer."""
        self.wrong += 1
        if len(self.complaints) < KEPT_COMPLAINTS:
            self.complaints.append(complaint)


class Caller(asyncio.Protocol):
    """One connection that keeps asking until it is told to stop."""

    def __init__(self, request: bytes, check: Callable[[bytes], None], tally: Tally) -> None:
        self._request = request
        self._check = check
        self._tally = tally
        self._reader = Reader()
        self._transport: asyncio.WriteTransport | None = None
        self._asked_ns = 0
        self._stopping = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            if not self._reader.complete:
                return
            took = time.perf_counter_ns() - self._asked_ns
            (self._tally.repeated_ns if SECOND_ATTEMPT in self._reader.head else self._tally.latencies_ns).append(took)
            self._judge()
        except (answers.Wrong, ValueError) as error:
            self._tally.complain(str(error))
            self._end()
            return
        self._tally.right += 1
        if self._stopping:
            self._end()
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._tally.complain(f"the connection ended before the answer did: {exc!r}")
            self.ended.set_result(None)

    def stop(self) -> None:
        """Ends after the answer that is on its way."""
        self._stopping = True

    def give_up(self) -> None:
        """Ends now; an answer that has not come in all this time is a wrong one."""
        if not self.ended.done():
            self._tally.complain(f"no answer within {ANSWER_TIMEOUT_SECONDS:.0f} s")
            self._end()

    def _ask(self) -> None:
        self._reader.reset()
        self._asked_ns = time.perf_counter_ns()
        if self._transport is not None:
            self._transport.write(self._request)

    def _judge(self) -> None:
        status = self._reader.head[9:12]
        if status != b"200":
            raise answers.Wrong(f"status {status!r}: {self._reader.body()[:300]!r}")
        self._check(self._reader.body())

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """What one stretch of load measured; `cpu_seconds` are the contestant's own, user and system."""

    answers: int
    seconds: float
    cpu_seconds: float
    latencies_ns: tuple[int, ...]
    repeated_ns: tuple[int, ...] = ()

    @property
    def per_cpu_second(self) -> float:
        """Answers for each second of CPU that the contestant spent."""
        return self.answers / self.cpu_seconds if self.cpu_seconds > 0 else 0.0


def checker(case: Case, endpoint: Endpoint) -> Callable[[bytes], None]:
    """The check of one case's answers from one endpoint."""
    model = case.model if endpoint.exact_model else None
    if case.stream:
        return answers.StreamCheck(case, model).check
    return partial(answers.check_whole, case, model)


async def drive(
    endpoint: Endpoint,
    case: Case,
    *,
    connections: int,
    warm_up_seconds: float,
    seconds: float,
    cpu_seconds: Callable[[], float],
    total: Tally,
) -> Sample:
    """Keeps `connections` requests in flight; what happens after the warm-up and before the end is the sample.

    Every answer is checked, those of the warm-up and the last ones too, and counted in `total`.
    """
    tally = Tally()
    request, check = endpoint.request(case), checker(case, endpoint)
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(request, check, tally), endpoint.host, endpoint.port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(warm_up_seconds)
    cpu_before, right_before, began = cpu_seconds(), tally.right, time.monotonic()
    seen_before, repeated_before = len(tally.latencies_ns), len(tally.repeated_ns)
    await asyncio.sleep(seconds)
    sample = Sample(
        answers=tally.right - right_before,
        seconds=time.monotonic() - began,
        cpu_seconds=cpu_seconds() - cpu_before,
        latencies_ns=tuple(tally.latencies_ns[seen_before:]),
        repeated_ns=tuple(tally.repeated_ns[repeated_before:]),
    )
    for caller in callers:
        caller.stop()
    await asyncio.wait([caller.ended for caller in callers], timeout=ANSWER_TIMEOUT_SECONDS)
    for caller in callers:
        caller.give_up()
    total.right += tally.right
    total.wrong += tally.wrong
    total.complaints.extend(tally.complaints)
    return sample
