"""For any schedule of faults over five keys, on a fake clock: the whole truth or an honest error, and nothing mixed.

The real gateway and the real pool, with wires that play a random schedule (`schedules` states the mix).
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from service.access.tokens import Tokens
from service.app import NOWHERE
from service.attempts import Means
from service.deadline import Deadlines
from service.errors import Kind, Refusal
from service.events import VISIBLE, Event, Finish, Reasoning, Text, ToolCall, read
from service.gateway import Gateway, Wishes
from service.keys.pool import Pool
from service.keys.strategy import STRATEGIES
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.observe.record import Record
from service.prompt import Prompt, Sampling, TextPart, Turn
from service.routing.budget import RetryBudget
from service.routing.catalogue import Catalogue
from service.routing.circuits import Circuits
from service.routing.refusals import LearnedRefusals
from service.settings import KeySpec, Settings
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock
from tests.faults.schedules import KEYS, MODELS, OWN, Attempt, ScriptedWire, World

SCHEDULES = 4_000
PARTS = 2
"""So that several processes may share them."""
MAX_REQUESTS = 5
MAX_CALLS = len(KEYS) * 2 * len(MODELS) + 5
"""Every key on every wire of every model, and a few repeats."""
MAX_SECONDS = 2_000.0
"""Of one schedule."""
SCHEDULE_SECONDS = 10_000.0
"""From one schedule to the next: longer than anything is remembered."""
STATUSES = {400, 402, 404, 429, 502, 503, 504}


@dataclass
class Request:
    """One caller, and what it got. `committed_at` is when it had the first visible event."""

    name: str
    prompt: Prompt
    wishes: Wishes
    leaves_after: float | None
    events: list[Event] = field(default_factory=list)
    committed_at: float | None = None
    end: str = ""
    refusal: Refusal | None = None
    states_at_end: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Everything visible, in order."""
        return "".join(map(_text, self.events))

    @property
    def whole(self) -> bool:
        """Whether the answer came to its proper end."""
        return bool(self.events) and isinstance(self.events[-1], Finish)


def _text(event: Event) -> str:
    if isinstance(event, (Text, Reasoning)):
        return read(event.pieces)
    return event.arguments if isinstance(event, ToolCall) else ""


@dataclass
class Shared:
    """What is dear to make and holds nothing of a schedule: what the catalogue learns is forgotten in time."""

    loop: ClockLoop
    catalogue: Catalogue
    metrics: Metrics

    def begin(self, seed: int) -> None:
        """Have a schedule begin at a time of its own, so that it goes the same way whatever was played before."""
        self.loop.forward(SCHEDULE_SECONDS * (seed + 1) - self.loop.now)


def gateway_of(world: World, shared: Shared, settings: Settings) -> Gateway:
    """The real thing, on this clock."""
    loop, catalogue = shared.loop, shared.catalogue
    keys = [KeySpec(name, name, f"secret-of-{name}") for name in KEYS]
    pool = Pool(
        keys,
        rest_max=settings.rest_max,
        clock=loop.time,
        limit_per_minute=2 if world.shaped else 500,
        queue_length=world.random.choice((0, 2, 100)),
        queue_wait=world.random.choice((0.0, 10.0, 100.0)),
        choose=STRATEGIES[world.random.choice(sorted(STRATEGIES))](),
        chance=world.random.random,
    )
    wire = ScriptedWire(world)
    log = Log("error", "json", io.BytesIO())
    wires: Any = {"chat": wire, "bot": wire}
    circuits = Circuits(settings.breaker_failures, clock=loop.time, spread=world.random.uniform)
    means = Means(settings, catalogue, pool, LearnedRefusals(), circuits, RetryBudget(clock=loop.time))
    return Gateway(means, wires, shared.metrics, Tokens(()), log, NOWHERE, Deadlines())


def requests_of(chance: Random) -> Iterator[Request]:
    """A few callers with a few wishes."""
    for number in range(chance.randint(1, MAX_REQUESTS)):
        model, *others = chance.sample(MODELS, 3)
        prompt = Prompt(
            model,
            (Turn("user", (TextPart(f"q{number}"),)),),
            stream=chance.random() < 0.5,
            fallbacks=tuple(others[: chance.choice((0, 0, 1, 2))]),
            sampling=Sampling(temperature=chance.choice((None, 0.0))),
        )
        wishes = Wishes(
            chance.choice((None, None, "chat", "bot")), chance.choice((None, None, "off", "verified", "whole"))
        )
        yield Request(f"q{number}", prompt, wishes, chance.choice((*[None] * 7, 0.0, 0.03, 0.5)))


async def ask(gateway: Gateway, request: Request, loop: ClockLoop) -> None:
    """Be one caller."""
    record = Record(request.name, "chat", "/chat/completions", lambda ended: None)
    answer = gateway.answer(request.prompt, record, request.wishes)
    try:
        async for batch in answer:
            if request.committed_at is None and any(isinstance(event, VISIBLE) for event in batch):
                request.committed_at = loop.time()
            request.events += batch
        request.end = "answer"
    except Refusal as refusal:
        request.end, request.refusal = "refusal", refusal
        request.states_at_end = dict(gateway.pool.states())
    except asyncio.CancelledError:
        request.end = "cancelled"
    finally:
        await answer.aclose()


async def caller(gateway: Gateway, request: Request, loop: ClockLoop, pause: float) -> None:
    """Come after a while, ask, and perhaps leave."""
    await asyncio.sleep(pause)
    asking = asyncio.create_task(ask(gateway, request, loop))
    if request.leaves_after is not None:
        await asyncio.wait([asking], timeout=request.leaves_after)
        asking.cancel()
    await asyncio.wait([asking])
    if not asking.cancelled():
        asking.result()


async def play(seed: int, shared: Shared) -> tuple[World, list[Request], Gateway]:
    """One schedule from its beginning to its end."""
    shared.begin(seed)
    loop = shared.loop
    chance = Random(seed)
    world, requests = World.of(chance), list(requests_of(chance))
    settings = Settings(breaker_failures=chance.choice((0, 2, 5)), max_attempts=chance.choice((0, 0, 0, 1, 3)))
    gateway = gateway_of(world, shared, settings)
    began = loop.time()

    def watch() -> None:
        assert gateway.pool.open_leases <= sum(not request.end for request in requests)

    world.watch = watch
    await asyncio.gather(*[caller(gateway, each, loop, chance.choice((0.0, 0.2, 3.0))) for each in requests])
    assert loop.time() - began < MAX_SECONDS
    return world, requests, gateway


def check(world: World, requests: list[Request], gateway: Gateway) -> None:
    """Hold a schedule against the promises."""
    assert gateway.pool.open_leases == 0
    assert world.open() == 0
    for name, state in gateway.pool.states().items():
        good = ("usable", "resting") if world.shaped else ("usable",)
        assert state in good or name in world.at_fault, f"key {name} is {state} and never failed by its own fault"
    for request in requests:
        mine = [attempt for attempt in world.attempts if attempt.asked == request.name]
        assert len(mine) <= MAX_CALLS
        no_call_after_the_commit(request, mine)
        if request.end == "answer":
            assert request.whole
            assert request.text in {attempt.text for attempt in mine if attempt.finished}
        else:
            assert not request.whole or request.end == "cancelled"
            of_one_attempt(request, mine)
        if request.refusal is not None:
            honest(request, request.refusal, mine)
            true_of_the_pool(request.refusal, set(request.states_at_end.values()))


def no_call_after_the_commit(request: Request, mine: list[Attempt]) -> None:
    """Nothing is asked again once the caller has a part, but for the one that recovery allows."""
    if request.committed_at is None:
        return
    wish = request.wishes.recovery
    cold = request.prompt.sampling.temperature == 0
    allowed = 1 if wish == "verified" or (wish is None and cold) else 0
    late = [attempt for attempt in mine if attempt.began > request.committed_at]
    if not allowed:
        assert late == []
    # A key that is refused by its own fault never reached a model.
    assert len([attempt for attempt in late if attempt.shown or attempt.failed not in OWN]) <= allowed


def of_one_attempt(request: Request, mine: list[Attempt]) -> None:
    """What a caller has of a broken answer is the beginning of one attempt's."""
    assert request.text == "" or any(attempt.text.startswith(request.text) for attempt in mine)


def honest(request: Request, refusal: Refusal, mine: list[Attempt]) -> None:
    """An error has a reason, and tells of the pool's trouble only where no key is left."""
    assert refusal.status in STATUSES
    failed = {attempt.failed for attempt in mine}
    assert not any(attempt.finished for attempt in mine) or request.committed_at is not None
    if refusal.status in (429, 503):
        assert refusal.retry_after is not None
        assert refusal.retry_after > 0
    if refusal.status == 504:
        assert Kind.SILENT in failed


def true_of_the_pool(refusal: Refusal, states: set[str]) -> None:
    """A caller hears of dry, revoked or limited keys only where no other works."""
    if refusal.code in ("insufficient_points", "no_usable_key", "upstream_rate_limited"):
        assert "usable" not in states, states


def soonest_of_the_pool(world: World, requests: list[Request], gateway: Gateway) -> None:
    """Of several reasons the one that passes soonest speaks: resting before dry, dry before revoked.

    A key that is `limited` may be so because its plan does not cover the model that was asked for.
    """
    for request in requests:
        code, states = request.refusal.code if request.refusal else "", set(request.states_at_end.values())
        assert code != "insufficient_points" or "resting" not in states, states
        assert code != "no_usable_key" or states <= {"revoked", "limited"}, states


def play_all(seeds: Iterable[int], check: Callable[[World, list[Request], Gateway], None]) -> Counter[str]:
    """Play schedules and hold each against something; how the requests ended."""
    ends: Counter[str] = Counter()

    async def all_of_them(loop: ClockLoop) -> None:
        shared = Shared(loop, Catalogue(clock=loop.time), Metrics())
        for seed in seeds:
            world, requests, gateway = await play(seed, shared)
            try:
                check(world, requests, gateway)
            except AssertionError as problem:
                raise AssertionError(f"schedule {seed}: {problem}\n{told(world, requests)}") from problem
            ends.update([request.end for request in requests])

    run_on_a_fake_clock(all_of_them)
    return ends


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "service.keys")


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_fails_the_caller_gets_the_whole_answer_or_an_honest_error(part: int) -> None:
    ends = play_all(range(part, SCHEDULES, PARTS), check)
    # A mix in which nearly nothing, or nearly everything, goes well shows little.
    assert min(ends["answer"], ends["refusal"], ends["cancelled"]) > ends.total() / 8, ends


def test_of_several_reasons_the_one_that_passes_soonest_speaks() -> None:
    play_all(range(SCHEDULES), soonest_of_the_pool)


def told(world: World, requests: list[Request]) -> str:
    """A schedule in words."""
    lines = [f"bad key {world.bad_key} {world.bad_kind}, down {world.down_model} all {world.all_down}"]
    for request in requests:
        refusal = request.refusal
        why = f"{refusal.status} {refusal.code}" if refusal is not None else ""
        lines.append(f"{request.name} {request.prompt.model} {request.wishes} {request.end} {why} {request.text!r}")
        lines += [f"    {attempt}" for attempt in world.attempts if attempt.asked == request.name]
    return "\n".join(lines)
