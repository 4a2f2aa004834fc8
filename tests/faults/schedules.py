"""Random schedules of faults, and a wire that plays them: what an upstream may do, in a stated mix.

| share | what one call meets |
|---|---|
| 44 % | the right answer |
| 16 % | a passing failure before the first visible event (status, empty, cut, unreachable, silence) |
| 16 % | a passing failure after it |
| 18 % | a failure of the key's own (rate limit, dry, revoked, model not covered), 8 % after the first visible event |
| 4 % | a refusal of the request itself |
| 2 % | no such model, or not on this wire |

One schedule in four has a key that always fails by its own fault, one in four a model that is down, and one in six
has a Poe that is down altogether. In one of three, accounts take two requests a minute only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from random import Random

from service.errors import Failure, Kind
from service.events import Event, Extra, Finish, Progress, Reasoning, Text, ToolCall
from service.wires.call import UpstreamCall

KEYS = ("a", "b", "c", "d", "e")
MODELS = ("gpt-4o", "gpt-4.1-mini", "gemini-2.5-flash")

PASSING = (Kind.BROKEN, Kind.EMPTY, Kind.CUT, Kind.UNREACHABLE, Kind.SILENT)
MIDWAY = (Kind.BROKEN, Kind.CUT, Kind.CUT, Kind.SILENT)
OWN = (Kind.RATE_LIMITED, Kind.RATE_LIMITED, Kind.DRY, Kind.KEY_REVOKED, Kind.NOT_COVERED)
REQUESTS = (Kind.BAD_REQUEST, Kind.TOO_LONG, Kind.MODERATED, Kind.NEEDS_AUTHORIZATION)
MODELS_OWN = (Kind.NO_SUCH_MODEL, Kind.NOT_ON_WIRE)
MIX = ((44, "right"), (16, "passing"), (16, "midway"), (10, "own"), (8, "own_midway"), (4, "request"), (2, "model"))


@dataclass
class Fault:
    """What one call meets: `failure` after `words` words, or none and the right answer."""

    failure: Failure | None
    words: int


@dataclass
class Attempt:
    """One call as the upstream saw it. `text` is what it would say in full."""

    asked: str
    key: str
    model: str
    wire: str
    began: float
    text: str
    failed: Kind | None = None
    finished: bool = False
    shown: bool = False
    """Whether it gave anything visible."""
    ended: float | None = None


@dataclass
class World:
    """One schedule: the state of Poe, and a memory of every call."""

    random: Random
    same_words: bool
    attempts: list[Attempt] = field(default_factory=list)
    at_fault: set[str] = field(default_factory=set)
    """Keys that have failed by their own fault."""
    bad_key: str | None = None
    bad_kind: Kind = Kind.DRY
    down_model: str | None = None
    all_down: bool = False
    shaped: bool = False
    """Whether accounts may take two requests a minute only, so that a queue forms and keys rest by no fault at all."""
    watch: Callable[[], None] = lambda: None
    """Called whenever a call begins or ends."""

    @classmethod
    def of(cls, random: Random) -> World:
        """A world out of a source of chance."""
        world = cls(random, random.random() < 0.5)
        if random.random() < 0.25:
            world.bad_key, world.bad_kind = random.choice(KEYS), random.choice(OWN)
        if random.random() < 0.25:
            world.down_model = random.choice(MODELS)
        world.all_down = random.random() < 1 / 6
        world.shaped = random.random() < 1 / 3
        return world

    def fault_for(self, call: UpstreamCall, words: int) -> Fault:
        """What this call meets."""
        chance = self.random
        if call.key_name == self.bad_key:
            return Fault(self._failure(self.bad_kind), 0)
        if self.all_down or self._model(call) == self.down_model:
            return Fault(self._failure(chance.choice(PASSING)), 0)
        shares, names = zip(*MIX, strict=True)
        match chance.choices(names, shares)[0]:
            case "right":
                return Fault(None, words)
            case "passing":
                return Fault(self._failure(chance.choice(PASSING)), 0)
            case "midway":
                return Fault(self._failure(chance.choice(MIDWAY)), chance.randint(1, words))
            case "own":
                return Fault(self._failure(chance.choice(OWN)), 0)
            case "own_midway":
                return Fault(self._failure(chance.choice(OWN)), chance.randint(1, words))
            case "request":
                return Fault(self._failure(chance.choice(REQUESTS)), 0)
            case _:
                return Fault(self._failure(chance.choice(MODELS_OWN)), 0)

    def _failure(self, kind: Kind) -> Failure:
        limited = kind is Kind.RATE_LIMITED
        retry_after = self.random.choice((None, 0.5, 3.0, 20.0)) if limited else None
        account_wide = limited and self.random.random() < 0.2
        return Failure(kind, f"scripted: {kind}", retry_after=retry_after, account_wide=account_wide)

    def _model(self, call: UpstreamCall) -> str:
        return call.route.model.id if call.route.model is not None else call.route.name

    def begin(self, call: UpstreamCall, now: float) -> Attempt:
        """Remember a call."""
        asked = call.prompt.turns[0].parts[0].text  # type: ignore[union-attr]
        # Where the words are the same every time, a second answer may go on where a first one broke off.
        mark = "" if self.same_words else f"{len(self.attempts)}{call.key_name}"
        text = "".join([f"<{asked}.{mark}.{place}>" for place in range(6)])
        attempt = Attempt(asked, call.key_name, self._model(call), call.route.wire, now, text)
        self.attempts.append(attempt)
        self.watch()
        return attempt

    def open(self) -> int:
        """Calls that have not ended."""
        return sum(attempt.ended is None for attempt in self.attempts)


class ScriptedWire:
    """A wire of the gateway that asks nobody."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[list[Event], None]:
        """Play what the schedule holds for this call."""
        world, loop = self._world, asyncio.get_running_loop()
        chance = world.random
        attempt = world.begin(call, loop.time())
        pieces = attempt.text.replace("><", ">\0<").split("\0")
        try:
            fault = world.fault_for(call, len(pieces))
            await asyncio.sleep(chance.choice((0.0, 0.001, 0.05, 0.4)))
            if chance.random() < 0.2:
                yield [Extra({"note": 1})] if chance.random() < 0.5 else [Progress()]
            for batch in self._batches(pieces[: fault.words]):
                attempt.shown = True
                yield batch
                await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 0.3)))
            if fault.failure is not None:
                await self._fail(call, attempt, fault)
            attempt.finished = True
            yield [Finish("stop")]
        finally:
            attempt.ended = loop.time()
            world.watch()

    def _batches(self, pieces: list[str]) -> list[list[Event]]:
        """The words in batches of one or several: thoughts first, then text, a tool call at the end."""
        events: list[Event] = []
        for place, piece in enumerate(pieces):
            if place == 0:
                events.append(Reasoning((piece.encode(),)))
            elif place == 5:
                events.append(ToolCall(0, "call_x", "look", piece))
            else:
                events.append(Text((piece.encode(),)))
        batches: list[list[Event]] = []
        while events:
            size = self._world.random.randint(1, 3)
            batches.append(events[:size])
            events = events[size:]
        return batches

    async def _fail(self, call: UpstreamCall, attempt: Attempt, fault: Fault) -> None:
        failure = fault.failure
        assert failure is not None
        if failure.kind is Kind.SILENT:
            await asyncio.sleep(call.idle_seconds if fault.words else call.first_event_seconds)
        attempt.failed = failure.kind
        if failure.kind in OWN:
            self._world.at_fault.add(call.key_name)
        raise failure
