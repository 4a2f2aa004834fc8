"""The phases of a run: who is asked what, in which order, and which figures come of it."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from bench import cases
from bench.answers import Wrong
from bench.cases import Case
from bench.contestants import (
    BARE,
    BARE_ON_FASTAPI,
    DIRECT,
    GATEWAY,
    GATEWAY_BOT,
    GATEWAY_CHAT,
    ORACLE,
    SERVERS,
    Contestant,
    Lineup,
    stand,
)
from bench.http11 import Reader
from bench.load import Sample, Tally, checker, drive
from bench.paced import PacedSample, drive_paced
from bench.plan import Plan
from bench.processes import BenchError, Cores, cpu_seconds, get, rss_mb, running, wait_for_200
from bench.upstream import EVENTS_PER_SECOND

THROUGH = (BARE, BARE_ON_FASTAPI, GATEWAY_CHAT, GATEWAY_BOT, ORACLE)
LOG_SECONDS = 5.0
"""The most that the gateway may take to tell of an answer in its log and metrics, which it does in groups."""
STARTED = (BARE, BARE_ON_FASTAPI, GATEWAY)


@dataclass(slots=True)
class Figures:
    """One measure: for each contestant the figure of each round, in the order in which the rounds were run."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, figure: float) -> None:
        """Notes one round's figure."""
        self.rounds.setdefault(name, []).append(figure)

    def median(self, name: str) -> float:
        """The middle one of a contestant's figures."""
        return median(self.rounds[name])

    def ratios(self, name: str, reference: str) -> list[float]:
        """A contestant's figures as shares of the reference's in the same round."""
        pairs = zip(self.rounds[name], self.rounds[reference], strict=True)
        return [figure / against for figure, against in pairs if against]


@dataclass(slots=True)
class Run:
    """A run in progress: its size, who takes part, what was found, and every answer counted."""

    plan: Plan
    lineup: Lineup
    cores: Cores
    upstream_port: int
    say: Callable[[str], None]
    answers: int = 0
    asked_of_gateway: int = 0
    given_up_on_gateway: int = 0
    noise: str = ""
    figures: dict[str, Figures] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def measure(self, name: str) -> Figures:
        """The figures of one measure, made when first asked for."""
        return self.figures.setdefault(name, Figures())

    def settle(self, phase: str, contestant: Contestant, tally: Tally) -> None:
        """Counts the answers of one turn; raises Wrong, which voids the run, if one of them was wrong."""
        if tally.wrong:
            raise Wrong(f"{phase}, {contestant.name}: {tally.wrong} of them. {tally.complaints[0]}")
        self.answers += tally.right
        if contestant.name in {GATEWAY_CHAT, GATEWAY_BOT}:
            self.asked_of_gateway += tally.right


async def _alternate(
    run: Run, names: Sequence[str], rounds: int, turn: Callable[[Contestant], Awaitable[None]]
) -> None:
    """Gives everybody one turn a round, forwards and backwards, so that a drift of the machine meets all alike."""
    contestants = run.lineup.named(*names)
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            await turn(contestant)


async def throughput(run: Run, phase: str, case: Case) -> None:
    """Answers for each CPU second of the contestant, with the connections kept busy."""
    figures, busy = run.measure(phase), run.measure(f"{phase}: core busy")

    async def turn(contestant: Contestant) -> None:
        if not contestant.pids:
            return
        sample = await _sample(run, phase, contestant, case, run.plan.connections, run.plan.seconds)
        figures.add(contestant.name, sample.per_cpu_second)
        busy.add(contestant.name, sample.cpu_seconds / sample.seconds)

    run.say(phase)
    await _alternate(run, THROUGH, run.plan.rounds, turn)


async def _sample(run: Run, phase: str, contestant: Contestant, case: Case, connections: int, seconds: float) -> Sample:
    tally = Tally()
    sample = await drive(
        contestant.endpoint,
        case,
        connections=connections,
        warm_up_seconds=run.plan.warm_up_seconds,
        seconds=seconds,
        cpu_seconds=lambda: cpu_seconds(contestant.pids),
        total=tally,
    )
    run.settle(phase, contestant, tally)
    return sample


async def latency(run: Run) -> None:
    """One connection, whole answers, one after the other: what each adds to the direct call of the same round."""
    samples: dict[str, list[tuple[float, float]]] = {}

    async def turn(contestant: Contestant) -> None:
        sample = await _sample(run, "latency", contestant, cases.WHOLE, 1, run.plan.latency_seconds)
        cuts = quantiles(sample.latencies_ns, n=100)
        samples.setdefault(contestant.name, []).append((cuts[49] / 1e6, cuts[98] / 1e6))

    run.say("latency")
    await _alternate(run, (DIRECT, *THROUGH), run.plan.rounds, turn)
    direct = samples.get(DIRECT)
    if direct is None:
        raise BenchError("added latency needs the direct call: name it among the contestants")
    for name, rounds in samples.items():
        base = [(0.0, 0.0)] * len(rounds) if name == DIRECT else direct
        for (p50, p99), (base50, base99) in zip(rounds, base, strict=True):
            run.measure("latency p50").add(name, p50 - base50)
            run.measure("latency p99").add(name, p99 - base99)


async def failover(run: Run) -> None:
    """What a failed attempt adds: answers that took a second key, less those of the same turn that did not."""

    async def turn(contestant: Contestant) -> None:
        sample = await _sample(run, "failover", contestant, cases.FALTERING, 1, run.plan.latency_seconds)
        if len(sample.repeated_ns) < 2:
            raise BenchError(f"failover, {contestant.name}: no answer took a second attempt")
        usual = median(sample.latencies_ns)
        cuts = quantiles(sample.repeated_ns, n=100)
        run.measure("failover p50").add(contestant.name, (cuts[49] - usual) / 1e6)
        run.measure("failover p99").add(contestant.name, (cuts[98] - usual) / 1e6)

    run.say("failover")
    await _alternate(run, (GATEWAY_CHAT, GATEWAY_BOT), run.plan.rounds, turn)


async def paced(run: Run) -> None:
    """Many streams at twenty events a second: the share on time, the delay, and the CPU that an event costs."""
    plan = run.plan
    case = cases.paced(plan.paced_seconds * EVENTS_PER_SECOND)

    async def turn(contestant: Contestant) -> None:
        tally = Tally()
        sample = await drive_paced(
            contestant.endpoint,
            case,
            streams=plan.paced_streams,
            events_per_second=EVENTS_PER_SECOND,
            cpu_seconds=lambda: cpu_seconds(contestant.pids),
            total=tally,
        )
        run.settle("paced", contestant, tally)
        if contestant.name in {GATEWAY_CHAT, GATEWAY_BOT}:
            run.given_up_on_gateway += sample.unfinished_streams
        _note_paced(run, contestant, sample)

    run.say("paced")
    await _alternate(run, (DIRECT, *THROUGH), plan.paced_rounds, turn)


def _note_paced(run: Run, contestant: Contestant, sample: PacedSample) -> None:
    run.measure("paced on time").add(contestant.name, sample.on_time * 100)
    run.measure("paced p99").add(contestant.name, sample.p99_ms)
    if contestant.pids and sample.delays_us:
        run.measure("paced CPU").add(contestant.name, sample.cpu_seconds / len(sample.delays_us) * 1e6)
    if sample.late_streams:
        run.notes.append(
            f"paced, {contestant.name}: late events in {sample.late_streams} of {run.plan.paced_streams} streams, "
            f"the worst by {sample.delays_us[-1] / 1000:,.0f} ms"
        )
    if sample.unfinished_streams:
        run.notes.append(
            f"paced, {contestant.name}: {sample.unfinished_streams} of {run.plan.paced_streams} streams had not ended "
            "when the time was up; what was missing counts as late"
        )


def memory(run: Run, when: str) -> None:
    """Resident memory of every process, idle or after the load."""
    servers: dict[str, tuple[int, ...]] = {}
    for contestant in run.lineup.contestants:
        if contestant.pids:
            servers[SERVERS.get(contestant.name, contestant.name)] = contestant.pids
    for server, pids in servers.items():
        run.measure(f"RSS {when}").add(server, rss_mb(pids))


def start(run: Run) -> None:
    """From exec to the first right answer, and to the first `/health` while the upstream says nothing at all."""
    run.say("start")
    servers = [server for server in run.lineup.stands if server in STARTED]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent_port = silent.getsockname()[1]
        # The first start of each only warms the page cache and the compiled modules.
        for number in range(run.plan.starts + 1):
            for name in servers:
                answered = _start_once(run, name, run.upstream_port, answering=True)
                healthy = _start_once(run, name, silent_port, answering=False)
                if number > 0:
                    run.measure("start").add(name, answered)
                    run.measure("start, silent").add(name, healthy)


def _start_once(run: Run, server: str, upstream_port: int, *, answering: bool) -> float:
    one = stand(server, upstream_port)
    endpoint = one.endpoint(("connection", "close"))
    request = endpoint.request(cases.WHOLE) if answering else get("/health")
    log = run.lineup.logs / f"start-{secrets.token_hex(4)}.log"
    began = time.monotonic()
    with running(one.command, run.cores.gateway, log) as pid:
        answer = wait_for_200(one.port, request, pid)
        seconds = time.monotonic() - began
    if answering:
        reader = Reader()
        reader.feed(answer)
        checker(cases.WHOLE, endpoint)(reader.body())
        run.answers += 1
    return seconds


def check_gateway_saw_all(run: Run) -> None:
    """The log and the metrics must have been on: one line and one count for each answer; raises Wrong.

    The bench's own questions for the list of models, and what the gateway says of itself, are no answers. Streams that
    were given up as too late may have ended well all the same.
    """
    one = run.lineup.stands.get(GATEWAY)
    if one is None:
        return
    log = run.lineup.logs / f"{GATEWAY}.log"
    right = range(run.asked_of_gateway, run.asked_of_gateway + run.given_up_on_gateway + 1)
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        text = wait_for_200(one.metrics_port, get("/metrics"), run.lineup.pids[GATEWAY])
        logged, counted = answers_logged(log), answers_counted(text)
        if (logged in right and counted == logged) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    told = f"the gateway answered {run.asked_of_gateway:,} times, logged {logged:,} answers and counted {counted:,}"
    if logged not in right or counted != logged:
        raise Wrong(told)
    run.notes.append(told)


def answers_logged(log: Path) -> int:
    """The lines of the gateway's log that tell of a chat completion that went well."""
    with log.open("rb") as lines:
        return sum(b'"path":"/chat/completions"' in line and b'"outcome":"ok"' in line for line in lines)


def answers_counted(metrics: bytes) -> int:
    """The same in its metrics."""
    series = [line for line in metrics.splitlines() if line.startswith(b"poe_proxy_requests_total{")]
    return sum(int(float(line.split()[-1])) for line in series if b'dialect="chat"' in line and b'outcome="ok"' in line)
