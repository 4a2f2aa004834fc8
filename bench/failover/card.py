"""The scorecard: runs every fault on every wire, each through a gateway of its own or all through one of yours."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.failover.caller import Endpoint
from bench.failover.courses import Course
from bench.failover.faults import FAULTS, Fault, models
from bench.failover.judge import Verdict
from bench.failover.play import Wire
from bench.failover.profile import Profile
from bench.failover.upstream import Upstream
from bench.forked import gateway
from bench.processes import BenchError

WIRES: tuple[Wire, ...] = ("chat", "bot")
AT_ONCE = 8
"""Gateways that start side by side."""
LISTED_SECONDS = 15.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Verdicts by column (a wire) and fault."""

    profile: Profile
    columns: Mapping[str, Mapping[str, Verdict]]

    def passes(self, column: str) -> int:
        """How many of the sixteen are a pass; the callers who leave are beyond them."""
        return sum(verdict.word == "pass" for id_, verdict in self.columns[column].items() if id_.startswith("S"))

    @property
    def clean(self) -> bool:
        """Whether everything passed, on every wire."""
        return all(verdict.word == "pass" for column in self.columns.values() for verdict in column.values())


async def of_ours(
    profile: Profile, logs: Path, *, wires: Sequence[Wire] = WIRES, faults: Sequence[Fault] = FAULTS
) -> Scorecard:
    """Every fault side by side, each on each wire through a fresh gateway with one key.

    Raises BenchError where a gateway does not start.
    """
    cells = sorted([(fault, wire) for fault in faults for wire in wires], key=lambda cell: -cell[0].hang)
    # Starting costs processor time, which would be missing where seconds are measured: so all begin when all are there.
    starting, ready = asyncio.Semaphore(AT_ONCE), asyncio.Barrier(len(cells))
    async with Upstream(models(profile), word_seconds=profile.word_seconds) as upstream:

        async def one(fault: Fault, wire: Wire) -> Verdict:
            stack = ExitStack()
            try:
                try:
                    async with starting:
                        log = logs / f"{fault.id}-{wire}.log"
                        endpoint = await _started(stack, profile, upstream.port, log, wire, fault.model)
                except BaseException:
                    await ready.abort()
                    raise
                await ready.wait()
                return await Course(fault, wire, profile, upstream, endpoint).run()
            finally:
                await asyncio.to_thread(stack.close)

        outcomes = await asyncio.gather(*[one(*cell) for cell in cells], return_exceptions=True)
    # Of those that only waited for one that never came, nothing is to be told.
    failed = [each for each in outcomes if isinstance(each, BaseException)]
    for error in sorted(failed, key=lambda each: isinstance(each, asyncio.BrokenBarrierError)):
        raise error
    verdicts = {cell: each for cell, each in zip(cells, outcomes, strict=True) if isinstance(each, Verdict)}
    return Scorecard(profile, {wire: {fault.id: verdicts[fault, wire] for fault in faults} for wire in wires})


async def _started(
    stack: ExitStack, profile: Profile, upstream_port: int, log: Path, wire: Wire, model: str
) -> Endpoint:
    """A gateway that knows the upstream's models; it ends with the stack."""
    token = secrets.token_urlsafe(32)
    environment = _environment(profile, upstream_port, token)
    port = await asyncio.to_thread(stack.enter_context, gateway(environment, log))
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", token, wire)
    try:
        await _listed(endpoint, model)
    except (TimeoutError, aiohttp.ClientError) as error:
        raise BenchError(f"{log.stem}: the gateway does not list the upstream's models") from error
    return endpoint


async def of_yours(
    profile: Profile,
    endpoint: Endpoint,
    port: int,
    say: Callable[[str], None],
    *,
    wires: Sequence[Wire] = (),
    faults: Sequence[Fault] = FAULTS,
) -> Scorecard:
    """Every fault one after the other through a gateway that somebody else runs, with our upstream on `port`.

    `wires` forces each with our own header; without any, nothing is forced and the upstream is asked on chat.
    Raises BenchError where the port is taken or the gateway does not reach the upstream.
    """
    try:
        async with Upstream(models(profile), word_seconds=profile.word_seconds, port=port) as upstream:
            columns: dict[str, dict[str, Verdict]] = {}
            for wire in wires or (None,):
                column = columns.setdefault(wire or "chat", {})
                forced = Endpoint(endpoint.url, endpoint.token, wire, endpoint.models)
                for fault in faults:
                    verdict = await Course(fault, wire or "chat", profile, upstream, forced).run()
                    column[fault.id] = verdict
                    say(f"{fault.id} {wire or ''} {verdict.word} {verdict.reason}")
                    if fault.id == faults[0].id and not upstream.calls(fault.model, wire or "chat"):
                        raise BenchError(f"no request came through {endpoint.url} to port {port}: {verdict.reason}")
    except OSError as error:
        raise BenchError(f"port {port} of the upstream: {error.strerror}") from None
    return Scorecard(profile, columns)


def _environment(profile: Profile, upstream_port: int, token: str) -> dict[str, str]:
    """One key, and the profile's timeouts; fallbacks come in the requests."""
    return {
        **profile.settings(),
        "POE_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "POE_API_KEYS": f"only:{secrets.token_urlsafe(32)}",
        "ACCESS_TOKENS": f"failover:{token}",
        "LOG_LEVEL": "info",
    }


async def _listed(endpoint: Endpoint, model: str) -> None:
    """Wait until the gateway has the upstream's list of models."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(LISTED_SECONDS):
        while True:
            async with session.get(f"{endpoint.url}/models", headers=endpoint.headers()) as response:
                if model in await response.text():
                    return
            await asyncio.sleep(POLL_SECONDS)
