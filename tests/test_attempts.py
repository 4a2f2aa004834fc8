"""What follows which failure, attempt by attempt: the real gateway and pool, wires that play a script, a fake clock."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from service import waiting
from service.access.tokens import Tokens
from service.app import NOWHERE
from service.attempts import Means
from service.deadline import Deadlines
from service.errors import Failure, Kind, Refusal
from service.events import Event, Extra, Finish, Text, escape, read
from service.gateway import NO_WISHES, Gateway, Wishes
from service.keys.pool import Pool
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.observe.record import Record
from service.prompt import OutputFormat, Prompt, Sampling, TextPart, Turn
from service.routing.budget import FREE_REPEATS, RetryBudget
from service.routing.catalogue import Catalogue
from service.routing.circuits import Circuits
from service.routing.refusals import LearnedRefusals
from service.settings import KeySpec, load
from service.wires.call import UpstreamCall
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock

MODEL, OTHER = "gpt-4o", "gpt-4.1-mini"
CHAT, VERIFIED = Wishes(wire="chat"), Wishes(recovery="verified")

Step = str | Extra | Failure | float
"""Some text, members beside it, an end, or a pause in seconds; the end of a script is the proper end of the answer."""
Script = tuple[Step, ...]


@dataclass
class Poe:
    """Plays for (model, wire, key) its scripts one after the other, the last one again and again; `*` is any."""

    scripts: Mapping[tuple[str, str, str], list[Script]]
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    open: int = 0

    def script_for(self, model: str, wire: str, key: str) -> Script:
        for name in ((model, wire, key), (model, wire, "*"), (model, "*", key), (model, "*", "*")):
            if name in self.scripts:
                scripts = self.scripts[name]
                return scripts.pop(0) if len(scripts) > 1 else scripts[0]
        return ("fine",)

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[list[Event], None]:
        model = call.route.model.id if call.route.model is not None else call.route.name
        self.calls.append((model, call.route.wire, call.key_name))
        self.times.append(asyncio.get_running_loop().time())
        self.open += 1
        try:
            for step in self.script_for(*self.calls[-1]):
                if isinstance(step, Failure):
                    raise step
                if isinstance(step, Extra):
                    yield [step]
                    continue
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield [Text((escape(step),))]
            yield [Finish("stop")]
        finally:
            self.open -= 1


@dataclass
class House:
    """A gateway with its upstream, and the clock both live by."""

    loop: ClockLoop
    poe: Poe
    gateway: Gateway
    records: list[Record] = field(default_factory=list)

    async def ask(
        self, *fallbacks: str, wishes: Wishes = NO_WISHES, stream: bool = True, cold: bool = False, **members: Any
    ) -> str:
        """The answer's text; raises `Refusal`, whose `said` then holds what came before it."""
        prompt = Prompt(
            MODEL,
            (Turn("user", (TextPart("?"),)),),
            stream=stream,
            fallbacks=fallbacks,
            sampling=Sampling(temperature=0.0 if cold else None),
            **members,
        )
        record = Record("id", "chat", "/", lambda ended: None)
        self.records.append(record)
        said = ""
        answer = self.gateway.answer(prompt, record, wishes)
        try:
            async for batch in answer:
                said += "".join([read(event.pieces) for event in batch if isinstance(event, Text)])
        except Refusal as refusal:
            refusal.said = said  # type: ignore[attr-defined]
            raise
        finally:
            await answer.aclose()
        return said

    async def refusal(self, *fallbacks: str, **how: Any) -> Refusal:
        """What a request is refused with."""
        with pytest.raises(Refusal) as caught:
            await self.ask(*fallbacks, **how)
        return caught.value

    @property
    def results(self) -> list[str]:
        """How the last request's attempts ended."""
        return [result for _, _, result in self.records[-1].results]


Job = Callable[[House], Coroutine[Any, Any, None]]


def play(
    job: Job,
    scripts: Mapping[tuple[str, str, str], list[Script]],
    keys: int = 1,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Run a test on a house whose upstream plays these scripts."""

    async def run(loop: ClockLoop) -> None:
        settings = load(environ or {})
        specs = [KeySpec(f"k{number}", f"a{number}", "secret") for number in range(keys)]
        pool = Pool(specs, rest_max=settings.rest_max, clock=loop.time)
        catalogue, poe, log = Catalogue(), Poe(scripts), Log("error", "json", io.BytesIO())
        wires: Any = {"chat": poe, "bot": poe}
        means = Means(
            settings,
            catalogue,
            pool,
            LearnedRefusals(clock=loop.time),
            Circuits(settings.breaker_failures, clock=loop.time, spread=lambda low, high: high),
            RetryBudget(clock=loop.time),
        )
        gateway = Gateway(means, wires, Metrics(), Tokens(()), log, NOWHERE, Deadlines())
        house = House(loop, poe, gateway)
        await job(house)
        assert poe.open == 0
        assert pool.open_leases == 0

    run_on_a_fake_clock(run)


def failed(kind: Kind, **members: Any) -> Failure:
    return Failure(kind, f"scripted: {kind}", **members)


BROKEN: Script = (failed(Kind.BROKEN),)
SILENT: Script = (60.0, failed(Kind.SILENT))
CUT: Script = ("one two", failed(Kind.CUT))


def limited(seconds: float | None) -> Script:
    return (failed(Kind.RATE_LIMITED, retry_after=seconds),)


# Passing failures


def test_a_passing_failure_is_repeated_with_another_key_at_once() -> None:
    async def job(house: House) -> None:
        assert await house.ask() == "fine"
        assert [key for _, _, key in house.poe.calls] == ["k0", "k1"]
        assert house.poe.times[1] - house.poe.times[0] < 0.005
        assert house.results == ["broken", "ok"]

    play(job, {(MODEL, "chat", "k0"): [BROKEN]}, keys=2)


def test_with_one_key_it_is_repeated_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(house: House) -> None:
        monkeypatch.setattr(waiting, "perf_counter", house.loop.time)
        assert await house.ask() == "fine"
        assert 0.25 <= house.poe.times[1] - house.poe.times[0] <= 0.5
        assert house.records[-1].waiting.seconds >= 0.25, "a pause is no overhead of ours"

    play(job, {(MODEL, "chat", "*"): [BROKEN, ("fine",)]})


def test_where_a_fallback_waits_it_is_repeated_once() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER) == "fine"
        assert [model for model, _, _ in house.poe.calls] == [MODEL, MODEL, OTHER]
        assert house.records[-1].answer_model == OTHER

    play(job, {(MODEL, "*", "*"): [BROKEN]}, keys=5)


def test_without_a_fallback_every_key_is_tried() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal()
        assert (refusal.status, refusal.code) == (502, "upstream_error")
        assert sorted(key for _, _, key in house.poe.calls) == ["k0", "k1", "k2"], "each of them once"

    play(job, {(MODEL, "*", "*"): [BROKEN]}, keys=3)


def test_the_retry_budget_ends_repetition() -> None:
    async def job(house: House) -> None:
        for _ in range(100):
            await house.refusal()
        repeats = len(house.poe.calls) - 100
        assert FREE_REPEATS <= repeats <= FREE_REPEATS + 20

    play(job, {(MODEL, "*", "*"): [BROKEN]}, keys=5, environ={"BREAKER_FAILURES": "0"})


def test_a_step_to_another_key_after_a_keys_own_failure_needs_no_budget() -> None:
    async def job(house: House) -> None:
        budget = house.gateway.means.budget
        while budget.allows((MODEL, "chat")):
            budget.repeat((MODEL, "chat"))
        assert await house.ask() == "fine"

    play(job, {(MODEL, "chat", f"k{number}"): [(failed(Kind.KEY_REVOKED),)] for number in range(4)}, keys=5)


# Silence


def test_after_silence_a_fallback_comes_before_another_key() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER) == "fine"
        assert [model for model, _, _ in house.poe.calls] == [MODEL, OTHER]

    play(job, {(MODEL, "*", "*"): [SILENT]}, keys=3)


def test_if_the_fallback_fails_too_the_silent_model_has_its_other_wire() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER) == "fine"
        assert [(model, wire) for model, wire, _ in house.poe.calls][-1] == (MODEL, "bot")
        assert house.records[-1].answer_model == MODEL

    play(job, {(MODEL, "chat", "*"): [SILENT], (OTHER, "*", "*"): [(failed(Kind.TOO_LONG),)]})


def test_with_one_wire_it_has_another_key() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER, wishes=CHAT) == "fine"
        assert [(model, key) for model, _, key in house.poe.calls] == [(MODEL, "k0"), (OTHER, "k1"), (MODEL, "k1")]

    scripts = {(MODEL, "chat", "k0"): [SILENT], (OTHER, "*", "*"): [(failed(Kind.TOO_LONG),)]}
    play(job, scripts, keys=2)


def test_silence_is_not_repeated_with_the_same_key() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal(wishes=CHAT)
        assert (refusal.status, refusal.code) == (504, "upstream_timeout")
        assert len(house.poe.calls) == 1

    play(job, {(MODEL, "*", "*"): [SILENT]})


# Rate limits


def test_a_short_limit_is_waited_for_once() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER) == "fine"
        assert [model for model, _, _ in house.poe.calls] == [MODEL, MODEL]
        assert 2.0 <= house.poe.times[1] - house.poe.times[0] <= 2.5

    play(job, {(MODEL, "*", "*"): [limited(2.0), ("fine",)]})


def test_a_second_one_is_not() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER) == "fine"
        assert [model for model, _, _ in house.poe.calls] == [MODEL, MODEL, OTHER]

    play(job, {(MODEL, "*", "*"): [limited(2.0)]})


@pytest.mark.parametrize("seconds", [6.0, None])
def test_a_long_limit_and_one_without_a_time_are_not_waited_for(seconds: float | None) -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER) == "fine"
        assert [model for model, _, _ in house.poe.calls] == [MODEL, OTHER]

    play(job, {(MODEL, "*", "*"): [limited(seconds)]})


def test_another_key_is_better_than_waiting() -> None:
    async def job(house: House) -> None:
        assert await house.ask() == "fine"
        assert house.poe.times[1] == house.poe.times[0]

    play(job, {(MODEL, "*", "k0"): [limited(2.0)]}, keys=2)


def test_keys_that_failed_otherwise_are_not_asked_again_after_the_wait() -> None:
    async def job(house: House) -> None:
        assert await house.ask() == "fine"
        assert [key for _, _, key in house.poe.calls] == ["k0", "k1", "k2", "k1"]

    play(job, {(MODEL, "*", "*"): [BROKEN], (MODEL, "*", "k1"): [limited(2.0), ("fine",)]}, keys=3)


@pytest.mark.parametrize("last", [Kind.RATE_LIMITED, Kind.DRY, Kind.KEY_REVOKED, Kind.NOT_COVERED])
def test_a_key_in_trouble_is_not_what_the_caller_hears_of_while_another_works(last: Kind) -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal()
        assert (refusal.status, refusal.code) == (502, "upstream_error")
        assert [key for _, _, key in house.poe.calls] == ["k0", "k1", "k0"]

    play(job, {(MODEL, "*", "k0"): [BROKEN], (MODEL, "*", "k1"): [(failed(last),)]}, keys=2)


@pytest.mark.parametrize("last", [Kind.RATE_LIMITED, Kind.DRY, Kind.KEY_REVOKED, Kind.NOT_COVERED])
@pytest.mark.parametrize("how", [NO_WISHES, VERIFIED], ids=["before", "recovery"])
def test_a_key_in_trouble_does_not_count_as_another_key(last: Kind, how: Wishes) -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=how) == "one two three"
        assert [key for _, _, key in house.poe.calls] == ["k0", "k1", "k0"]

    first = BROKEN if how is NO_WISHES else CUT
    play(job, {(MODEL, "*", "k0"): [first, ("one two three",)], (MODEL, "*", "k1"): [(failed(last),)]}, keys=2)


@pytest.mark.parametrize("last", [Kind.RATE_LIMITED, Kind.DRY, Kind.KEY_REVOKED, Kind.NOT_COVERED])
def test_nor_where_its_answer_breaks_off(last: Kind) -> None:
    async def job(house: House) -> None:
        assert (await house.refusal()).code == "upstream_error"
        assert len(house.poe.calls) == 1

    play(job, {(MODEL, "*", "*"): [("one two", failed(last))]}, keys=2)


# Circuits


def test_a_model_that_keeps_failing_is_left_alone_and_comes_back() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            assert await house.ask(OTHER, wishes=CHAT) == "fine"
        before = len(house.poe.calls)
        assert await house.ask(OTHER, wishes=CHAT) == "fine"
        assert house.poe.calls[before:] == [(OTHER, "chat", "k0")], "its circuit is open"
        house.poe.scripts = {}
        house.loop.forward(2.1)
        assert await house.ask(OTHER, wishes=CHAT) == "fine"
        assert house.poe.calls[-1][0] == MODEL, "the trial"
        assert await house.ask(OTHER, wishes=CHAT) == "fine"
        assert house.poe.calls[-1][0] == MODEL

    play(job, {(MODEL, "*", "*"): [BROKEN]})


def test_a_trial_is_one_attempt() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            await house.ask(OTHER, wishes=CHAT)
        house.loop.forward(2.1)
        before = len(house.poe.calls)
        assert await house.ask(OTHER, wishes=CHAT) == "fine"
        assert [model for model, _, _ in house.poe.calls[before:]] == [MODEL, OTHER]

    play(job, {(MODEL, "*", "*"): [BROKEN]})


def test_with_nothing_else_the_caller_learns_when_to_come_back() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            await house.refusal(wishes=CHAT)
        before = len(house.poe.calls)
        refusal = await house.refusal(wishes=CHAT)
        assert (refusal.status, refusal.code, refusal.should_retry) == (503, "upstream_unavailable", True)
        assert refusal.retry_after is not None
        assert 1 <= refusal.retry_after <= 2
        assert len(house.poe.calls) == before

    play(job, {(MODEL, "*", "*"): [BROKEN]})


def test_the_request_that_opens_a_circuit_hears_of_its_own_failure() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(wishes=CHAT)).code == "upstream_error"
        assert (await house.refusal(wishes=CHAT)).code == "upstream_unavailable"
        record = house.records[-1]
        assert (record.series_model, record.poe_model, record.wire) == (MODEL, MODEL, "chat")

    play(job, {(MODEL, "*", "*"): [BROKEN]}, environ={"BREAKER_FAILURES": "1"})


def test_and_its_answer_is_recovered_all_the_same() -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=Wishes("chat", "verified")) == "one two three"

    scripts = {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [("one two three",)]}
    play(job, scripts, keys=2, environ={"BREAKER_FAILURES": "1"})


def test_an_open_circuit_lets_the_other_wire_answer() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            await house.refusal(wishes=CHAT)
        assert await house.ask() == "fine"
        assert house.poe.calls[-1][1] == "bot"

    play(job, {(MODEL, "chat", "*"): [BROKEN]})


def test_one_request_cannot_open_a_circuit_alone() -> None:
    async def job(house: House) -> None:
        await house.refusal(wishes=CHAT)
        assert len(house.poe.calls) >= 8
        house.poe.scripts = {}
        assert await house.ask(wishes=CHAT) == "fine"

    play(job, {(MODEL, "*", "*"): [BROKEN]}, keys=8)


def test_callers_who_leave_open_no_circuit() -> None:
    async def job(house: House) -> None:
        for _ in range(8):
            asking = asyncio.create_task(house.ask())
            await asyncio.sleep(0.5)
            asking.cancel()
            await asyncio.wait([asking])
        assert house.results == ["cancelled"]
        house.poe.scripts = {}
        assert await house.ask() == "fine"
        assert house.poe.calls[-1] == (MODEL, "chat", "k0")
        assert not len(house.gateway.means.circuits)

    play(job, {(MODEL, "*", "*"): [(30.0, "late")]})


def test_a_trial_whose_caller_leaves_keeps_nobody_out() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            await house.ask(OTHER)
        house.loop.forward(2.1)
        house.poe.scripts = {(MODEL, "*", "*"): [(30.0, "late"), ("fine",)]}
        asking = asyncio.create_task(house.ask(OTHER))
        await asyncio.sleep(0.5)
        asking.cancel()
        await asyncio.wait([asking])
        assert await house.ask(OTHER) == "fine"
        assert house.poe.calls[-1][0] == MODEL

    play(job, {(MODEL, "*", "*"): [BROKEN]})


def test_nor_does_one_that_waits_for_a_key() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            await house.ask(OTHER, wishes=CHAT)
        house.loop.forward(2.1)
        house.poe.scripts = {(MODEL, "*", "*"): [limited(4.0), ("fine",)]}
        asking = asyncio.create_task(house.ask(OTHER, wishes=CHAT))
        await asyncio.sleep(0.5)
        assert not asking.done()
        asking.cancel()
        await asyncio.wait([asking])
        house.loop.forward(4.0)
        assert await house.ask(OTHER, wishes=CHAT) == "fine"
        assert house.poe.calls[-1][0] == MODEL

    play(job, {(MODEL, "*", "*"): [BROKEN]})


def test_failures_of_keys_and_requests_open_no_circuit() -> None:
    async def job(house: House) -> None:
        for _ in range(20):
            await house.refusal()
        assert not len(house.gateway.means.circuits)

    scripts = [(failed(kind),) for kind in (Kind.MODERATED, Kind.BAD_REQUEST, Kind.TOO_LONG, Kind.RATE_LIMITED)]
    play(job, {(MODEL, "*", "*"): scripts}, keys=2)


# Recovery


def test_a_cut_answer_is_an_error_by_default() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal(OTHER)
        assert (refusal.code, refusal.said) == ("upstream_error", "one two")  # type: ignore[attr-defined]
        assert len(house.poe.calls) == 1

    play(job, {(MODEL, "*", "*"): [CUT]}, keys=3)


def test_a_whole_answer_that_is_cut_is_one_too() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(OTHER, stream=False)).code == "upstream_error"
        assert len(house.poe.calls) == 1

    play(job, {(MODEL, "*", "*"): [CUT]}, keys=3)


@pytest.mark.parametrize("stream", [True, False])
def test_verified_supplies_the_rest_with_another_key(stream: bool) -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER, wishes=VERIFIED, stream=stream) == "one two three"
        assert house.poe.calls == [(MODEL, "chat", "k0"), (MODEL, "chat", "k1")]
        assert house.results == ["cut", "ok"]
        assert house.records[-1].attempts == 2
        assert house.records[-1].recovery == ("recovered" if stream else "")

    play(job, {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [("one ", "two three")]}, keys=2)


def test_temperature_zero_asks_for_it() -> None:
    async def job(house: House) -> None:
        assert await house.ask(cold=True) == "one two three"

    play(job, {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [("one two three",)]}, keys=2)


def test_with_one_key_a_fallback_supplies_it() -> None:
    async def job(house: House) -> None:
        assert await house.ask(OTHER, wishes=VERIFIED) == "one two three"
        assert [model for model, _, _ in house.poe.calls] == [MODEL, OTHER]
        assert house.records[-1].answer_model == MODEL, "the name has left with the first part"

    play(job, {(MODEL, "*", "*"): [CUT], (OTHER, "*", "*"): [("one two three",)]})


def test_with_one_key_and_no_fallback_the_same_key_is_asked() -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=VERIFIED) == "one two three"
        assert house.poe.calls == [(MODEL, "chat", "k0")] * 2

    play(job, {(MODEL, "*", "*"): [CUT, ("one two three",)]})


def test_another_answer_is_never_glued_on() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal(OTHER, wishes=VERIFIED)
        assert (refusal.code, refusal.said) == ("upstream_error", "one two")  # type: ignore[attr-defined]
        assert house.records[-1].recovery == "diverged"
        assert len(house.poe.calls) == 2

    play(job, {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [("one too many",)]}, keys=2)


def test_an_answer_is_recovered_once() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal(OTHER, wishes=VERIFIED)
        assert (refusal.code, refusal.said) == ("upstream_error", "one two thr")  # type: ignore[attr-defined]
        assert house.records[-1].recovery == "failed"
        assert len(house.poe.calls) == 2

    play(job, {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [("one two thr", failed(Kind.CUT))]}, keys=3)


def test_keys_that_cannot_be_used_do_not_end_a_recovery() -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=VERIFIED) == "one two three"
        assert house.results == ["cut", "dry", "rate_limited", "ok"]

    scripts: dict[tuple[str, str, str], list[Script]] = {
        (MODEL, "*", "k0"): [CUT],
        (MODEL, "*", "k1"): [(failed(Kind.DRY),)],
        (MODEL, "*", "k2"): [limited(30.0)],
        (MODEL, "*", "k3"): [("one two three",)],
    }
    play(job, scripts, keys=4)


def test_a_key_that_fails_in_the_middle_of_a_recovery_ends_it() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal(wishes=VERIFIED)
        assert (refusal.code, refusal.said) == ("upstream_error", "one two three")  # type: ignore[attr-defined]
        assert len(house.poe.calls) == 2

    scripts: dict[tuple[str, str, str], list[Script]] = {
        (MODEL, "*", "k0"): [CUT],
        (MODEL, "*", "k1"): [("one two three", failed(Kind.NOT_COVERED))],
    }
    play(job, scripts, keys=4)


def test_what_the_caller_is_told_is_the_first_failure() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(wishes=VERIFIED)).code == "upstream_error"

    play(job, {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [(failed(Kind.MODERATED),)]}, keys=2)


def test_a_stall_is_recovered_as_well() -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=VERIFIED) == "one two three"

    stalled: Script = ("one two", 60.0, failed(Kind.SILENT))
    play(job, {(MODEL, "*", "k0"): [stalled], (MODEL, "*", "k1"): [("one two three",)]}, keys=2)


def test_a_refusal_in_the_middle_is_not() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(wishes=VERIFIED)).code == "content_filter"
        assert len(house.poe.calls) == 1

    play(job, {(MODEL, "*", "*"): [("one two", failed(Kind.MODERATED))]}, keys=2)


def test_an_outage_is_not_doubled_by_recoveries() -> None:
    async def job(house: House) -> None:
        for _ in range(50):
            await house.refusal(wishes=VERIFIED)
        assert len(house.poe.calls) - 50 <= FREE_REPEATS + 10

    play(job, {(MODEL, "*", "*"): [CUT]}, keys=2, environ={"BREAKER_FAILURES": "0"})


def test_whole_holds_the_answer_back_and_goes_on_failing_over() -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=Wishes(recovery="whole")) == "one and all"
        assert house.results == ["cut", "cut", "ok"]

    scripts = {(MODEL, "*", "k0"): [CUT], (MODEL, "*", "k1"): [CUT], (MODEL, "*", "k2"): [("one ", "and all")]}
    play(job, scripts, keys=3)


def test_a_header_wins_over_the_setting() -> None:
    async def job(house: House) -> None:
        await house.refusal(wishes=Wishes(recovery="off"))
        assert await house.ask(wishes=NO_WISHES) == "fine"

    play(job, {(MODEL, "*", "*"): [CUT, CUT, ("fine",)]}, keys=2, environ={"RECOVERY": "whole"})


def test_max_attempts_bounds_recovery_too() -> None:
    async def job(house: House) -> None:
        await house.refusal(wishes=VERIFIED)
        assert len(house.poe.calls) == 1

    play(job, {(MODEL, "*", "*"): [CUT]}, keys=2, environ={"MAX_ATTEMPTS": "1"})


# What a request may lose, and what it must not


def refuses(parameter: str, after: float = 0.0) -> Script:
    return (after, failed(Kind.UNSUPPORTED_PARAMETER, param=parameter, status=400))


def test_requests_that_learn_the_same_at_once_are_all_mended() -> None:
    async def job(house: House) -> None:
        assert await asyncio.gather(*[house.ask() for _ in range(3)]) == ["fine"] * 3

    play(job, {(MODEL, "chat", "*"): [*[refuses("temperature", 0.1)] * 3, ("fine",)]})


def test_a_parameter_that_is_refused_although_it_was_left_out_is_the_end() -> None:
    async def job(house: House) -> None:
        refusal = await house.refusal()
        assert (refusal.status, refusal.param) == (400, "temperature")
        assert len(house.poe.calls) == 2

    play(job, {(MODEL, "chat", "*"): [refuses("temperature")]})


def test_the_lesson_is_learnt_by_the_last_attempt_too() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal()).status == 400
        assert await house.ask() == "fine"

    play(job, {(MODEL, "chat", "*"): [refuses("temperature"), ("fine",)]}, environ={"MAX_ATTEMPTS": "1"})


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (BROKEN, (failed(Kind.TOO_LONG),), 502),
        (BROKEN, (failed(Kind.NO_SUCH_MODEL),), 502),
        (SILENT, (failed(Kind.BAD_REQUEST),), 504),
        (limited(30.0), (failed(Kind.NOT_COVERED),), 429),
        ((failed(Kind.TOO_LONG),), BROKEN, 502),
        ((failed(Kind.TOO_LONG),), (failed(Kind.TOO_LONG),), 400),
    ],
)
def test_an_outage_is_not_told_as_the_callers_fault(first: Script, second: Script, status: int) -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(OTHER, wishes=CHAT)).status == status

    play(job, {(MODEL, "*", "*"): [first], (OTHER, "*", "*"): [second]})


def test_a_refusal_by_the_same_model_and_wire_is_believed() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(wishes=CHAT)).status == 400

    play(job, {(MODEL, "*", "*"): [BROKEN, (failed(Kind.BAD_REQUEST),)]})


def test_an_open_circuit_is_told_although_the_other_wire_knows_no_such_model() -> None:
    async def job(house: House) -> None:
        for _ in range(5):
            await house.refusal(wishes=CHAT)
        assert (await house.refusal()).code == "upstream_unavailable"

    play(job, {(MODEL, "chat", "*"): [BROKEN], (MODEL, "bot", "*"): [(failed(Kind.NO_SUCH_MODEL),)]})


def test_a_fallback_that_cannot_take_a_parameter_gives_way_to_the_next() -> None:
    strict, parameters = "mimo-v2-flash-el", {"deep_thinking": "sideways"}

    async def job(house: House) -> None:
        assert await house.ask(strict, OTHER, wishes=CHAT, parameters=parameters) == "fine"
        assert house.poe.calls[-1][0] == OTHER
        assert (await house.refusal(strict, wishes=CHAT, parameters=parameters)).status == 502

    play(job, {(MODEL, "*", "*"): [BROKEN]})


def test_an_upload_is_repeated_whatever_failed_before() -> None:
    again: list[Script] = [(failed(Kind.UPLOAD_REFUSED),), ("fine",)]

    async def job(house: House) -> None:
        assert await house.ask(wishes=CHAT) == "fine"

    play(job, {(MODEL, "*", "k0"): [BROKEN], (MODEL, "*", "k1"): again}, keys=2)
    play(job, {(MODEL, "*", "*"): [again[0], BROKEN, ("fine",)]})


def test_only_repeats_that_are_made_are_charged() -> None:
    async def job(house: House) -> None:
        for _ in range(40):
            await house.refusal(wishes=CHAT)
        assert len(house.poe.calls) == 40 + FREE_REPEATS + 8

    play(job, {(MODEL, "*", "*"): [BROKEN]}, environ={"BREAKER_FAILURES": "0"})


def test_a_formatted_answer_is_recovered_without_a_comparison() -> None:
    async def job(house: House) -> None:
        assert await house.ask(wishes=VERIFIED, output_format=OutputFormat("json_object")) == '{"b":1}'

    play(job, {(MODEL, "*", "k0"): [('{"a":', failed(Kind.CUT))], (MODEL, "*", "k1"): [('{"b":1}',)]}, keys=2)


# Bounds


@pytest.mark.parametrize("how", [{"stream": False}, {"wishes": Wishes(recovery="whole")}])
def test_a_whole_answer_does_not_grow_without_end(how: dict[str, Any]) -> None:
    async def job(house: House) -> None:
        assert (await house.refusal(**how)).code == "upstream_error"
        assert len(house.poe.calls) == 1, "another attempt would be paid for, and no smaller"
        assert await house.ask() != "", "a stream keeps nothing, and may be as long as its reader likes"

    play(job, {(MODEL, "*", "*"): [("x" * 1_000_000,) * 70]}, keys=2)


def test_nor_does_what_comes_before_the_first_visible_event() -> None:
    async def job(house: House) -> None:
        assert (await house.refusal()).code == "upstream_error"

    play(job, {(MODEL, "*", "*"): [(Extra({"note": "x" * 1_000_000}),) * 70]})
