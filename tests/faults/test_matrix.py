"""The matrix: what the caller saw, what the upstream saw, and what log and metrics say, for every way of failing.

Each cell has a gateway of its own with two keys. Pairwise here, all cells in the long half.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.errors import Kind
from tests.faults.cells import Cell, every_combination, pairs, pairwise, possible
from tests.faults.gateways import door, fresh, turns
from tests.faults.proxy import Call, FaultProxy, Rule
from tests.faults.reply import Seen, ask, read
from tests.faults.speech import right, speech_for, words_of
from tests.faults.table import RETRY_AFTER_SECONDS, WORDS_BEFORE, Fate
from tests.running import Running

FIRST_EVENT_SECONDS = 0.3
IMPATIENT = {
    "FIRST_EVENT_TIMEOUT": str(FIRST_EVENT_SECONDS),
    "ANSWER_TIMEOUT": "0.4",
    "IDLE_TIMEOUT": "0.3",
}
"""For faults that are nothing but silence; others have the usual limits, which no busy machine comes near."""
CLOSED_SECONDS = 0.2
"""Within this time an upstream's call is closed once it is decided that it has failed."""
SLACK_SECONDS = 1.5
"""For a busy machine. What is left to end by itself instead of being closed is open for LINGER_SECONDS, which are two,
and what is forgotten until a limit of the gateway ends it.
"""
CELL_SECONDS = 20.0
NAMES = {"poe-key-first-0000": "first", "poe-key-second-0000": "second"}


@dataclass
class Stage:
    """What all cells share: the upstream, the server, a client."""

    proxy: FaultProxy
    server: Running
    client: httpx.Client


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with FaultProxy(right) as proxy, door(proxy.url) as server, httpx.Client(timeout=20) as client:
        proxy.barrier = lambda: turns(server.loop)
        yield Stage(proxy, server, client)


@dataclass
class Outcome:
    """What was seen of one cell, from all sides. `told_at` is when the caller had all of its reply."""

    cell: Cell
    reply: Seen
    calls: list[Call]
    told_at: float
    line: dict[str, object]
    attempts: Counter[tuple[str, str, str]]
    requests: Counter[tuple[str, str, str]]
    states: dict[str, str]


def play(stage: Stage, cell: Cell) -> Outcome:
    """Ask one question in the midst of a fault."""
    maker = cell.maker
    assert maker is not None
    only_first = {1} if cell.others == "other_good" else None
    stage.proxy.reset(Rule(lambda call: maker(speech_for(call)), wire=cell.wire, nth=only_first))
    with fresh(stage.server, stage.proxy.url, **(IMPATIENT if cell.fault.stalls else {})) as gateway:
        began = time.monotonic()
        response = ask(stage.client, gateway.url, stream=cell.shape == "streamed", wire=cell.wire)
        told_at = time.monotonic()
        assert told_at - began < CELL_SECONDS
        calls = stage.proxy.settled()
        lines = gateway.lines()
        assert len(lines) == 1, "a request has one end"
        attempts, requests = metrics_of(gateway.exposition())
        states = dict(gateway.call(gateway.gateway.pool.states))
        assert gateway.call(lambda: gateway.gateway.pool.open_leases) == 0
        assert gateway.call(lambda: gateway.gateway.open_requests) == 0
    return Outcome(cell, read(response), calls, told_at, lines[0], attempts, requests, states)


def metrics_of(text: str) -> tuple[Counter[tuple[str, str, str]], Counter[tuple[str, str, str]]]:
    """Attempts by key, wire and result; requests by dialect, wire and outcome."""
    attempts: Counter[tuple[str, str, str]] = Counter()
    requests: Counter[tuple[str, str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "poe_proxy_upstream_attempts_total":
                attempts[labels["key"], labels["wire"], labels["result"]] += int(sample.value)
            elif sample.name == "poe_proxy_requests_total":
                requests[labels["dialect"], labels["wire"], labels["outcome"]] += int(sample.value)
    return attempts, requests


def check(outcome: Outcome) -> None:
    """Hold a cell against the design."""
    cell = outcome.cell
    if not cell.fault.kinds:
        answered(outcome, attempts=1, results=["ok"])
        return
    kind = failed_as(outcome)
    fate = cell.fates[kind]
    if cell.moment == "after":
        told(outcome, fate.after_the_commit_point(), attempts=1)
        state_of_keys(outcome, {1: fate.state})
    elif not fate.moves:
        told(outcome, fate, attempts=1)
        state_of_keys(outcome, {1: fate.state})
    elif cell.others == "other_good":
        answered(outcome, attempts=2, results=[kind.value, "ok"])
        state_of_keys(outcome, {1: fate.state})
    else:
        told(outcome, fate, attempts=2)
        state_of_keys(outcome, {1: fate.state, 2: fate.state})
    nothing_was_left_open(outcome)


def failed_as(outcome: Outcome) -> Kind:
    """The word that the metrics have for the first attempt, which has to be a true one."""
    words = {result for _, _, result in outcome.attempts} - {"ok"}
    assert len(words) == 1, outcome.attempts
    kind = Kind(words.pop())
    assert kind in outcome.cell.fates
    return kind


def answered(outcome: Outcome, *, attempts: int, results: list[str]) -> None:
    """The caller has the complete answer of the last attempt, and of no other."""
    cell, reply = outcome.cell, outcome.reply
    assert reply.error is None, reply.error
    assert (reply.status, reply.done, reply.finish) == (200, True, "stop")
    assert reply.after_error == []
    assert reply.model == "gpt-4o"
    assert reply.text == "".join(words_of(outcome.calls[-1]))
    seen_by_all(outcome, "ok", attempts)
    assert outcome.attempts == Counter(zip(keys_of(outcome.calls), [cell.wire] * attempts, results, strict=True))
    assert outcome.line["key"] == NAMES[outcome.calls[-1].key] == reply.headers["x-proxy-key"]


def told(outcome: Outcome, fate: Fate, *, attempts: int) -> None:
    """The caller has an honest error in its dialect: with a true status, or in band once the head has left."""
    cell, reply = outcome.cell, outcome.reply
    in_band = cell.moment == "after" and cell.shape == "streamed"
    assert reply.error is not None, reply
    assert (reply.status, reply.error["code"]) == (200 if in_band else fate.status, fate.code)
    assert set(reply.error) == {"message", "type", "param", "code"}
    if fate.code is not None:
        assert reply.error["type"] == fate.type
    assert not reply.done
    assert reply.finish is None
    assert reply.after_error == []
    assert_clean(reply.error["message"])
    assert reply.text == ("".join(words_of(outcome.calls[0])[:WORDS_BEFORE]) if in_band else "") or is_all(outcome)
    if not in_band:
        assert ("retry-after" in reply.headers) is fate.waits
        if cell.fault_name == "429":
            assert RETRY_AFTER_SECONDS - 20 <= int(reply.headers["retry-after"]) <= RETRY_AFTER_SECONDS
    seen_by_all(outcome, fate.code or str(reply.error["type"]), attempts)
    kinds = {kind.value for kind in cell.fates}
    assert {(key, wire) for key, wire, _ in outcome.attempts} == {(key, cell.wire) for key in keys_of(outcome.calls)}
    assert {result for _, _, result in outcome.attempts} <= kinds


def is_all(outcome: Outcome) -> bool:
    """Whether the fault strikes behind the last word (or before any, as in a tool call)."""
    name, text = outcome.cell.fault_name, outcome.reply.text
    whole = "".join(words_of(outcome.calls[0]))
    return (name == "no_terminator" and text == whole) or (name == "half_a_tool_call" and text == "")


def assert_clean(message: str) -> None:
    """No secret, no markup, nothing endless."""
    assert message
    assert len(message) <= 600
    for forbidden in ("poe-key", "<", "cloudflare", "127.0.0.1"):
        assert forbidden not in message


def seen_by_all(outcome: Outcome, word: str, attempts: int) -> None:
    """Log, metrics and upstream agree on how often Poe was asked, and how it ended."""
    assert len(outcome.calls) == attempts, [call.key for call in outcome.calls]
    assert len({call.key for call in outcome.calls}) == attempts, "a key was asked twice while another was left"
    assert {call.wire for call in outcome.calls} == {outcome.cell.wire}
    assert outcome.line["outcome"] == word
    assert outcome.line["attempts"] == attempts == sum(outcome.attempts.values())
    assert outcome.line["status"] == outcome.reply.status
    assert outcome.requests == {("chat", outcome.cell.wire, word): 1}


def keys_of(calls: list[Call]) -> list[str]:
    """The names of the keys that were used, in their order."""
    return [NAMES[call.key] for call in calls]


def state_of_keys(outcome: Outcome, states: dict[int, str]) -> None:
    """Each key is in the state that its own attempt gives reason for, and the others are as good as before."""
    expected = dict.fromkeys(NAMES.values(), "usable")
    expected |= {keys_of(outcome.calls)[number - 1]: state for number, state in states.items()}
    assert outcome.states == expected


def nothing_was_left_open(outcome: Outcome) -> None:
    """A call that hangs is closed once it has failed, neither before its time nor long after it."""
    for call, later in zip(outcome.calls, [*outcome.calls[1:], None], strict=True):
        decided_at = outcome.told_at if later is None else later.began
        assert call.ended <= decided_at + CLOSED_SECONDS + SLACK_SECONDS
        if outcome.cell.fault.stalls and (later is not None or outcome.cell.others == "none_good"):
            assert call.end == "left"
            # The gateway's time began before the upstream's did, by as much as it takes to connect.
            assert call.ended - call.began >= FIRST_EVENT_SECONDS / 3


ORDINARY = pairwise()


@pytest.mark.parametrize("cell", ORDINARY, ids=str)
def test_a_cell_of_the_pairwise_cover(stage: Stage, cell: Cell) -> None:
    check(play(stage, cell))


@pytest.mark.long
@pytest.mark.parametrize("cell", [cell for cell in possible() if cell not in ORDINARY], ids=str)
def test_any_other_cell(stage: Stage, cell: Cell) -> None:
    check(play(stage, cell))


def test_every_combination_is_a_cell_or_has_a_reason() -> None:
    for cell in every_combination():
        reason = cell.why_not()
        assert reason or cell.maker is not None, cell
        assert reason == "" or len(reason) > 20, cell
    assert len(possible()) > 500


def test_the_cover_shows_every_pair_that_any_cell_shows() -> None:
    everything = set().union(*map(pairs, possible()))
    assert set().union(*map(pairs, ORDINARY)) == everything
    assert len(ORDINARY) < len(possible()) / 3


def test_every_kind_that_an_upstream_can_cause_has_a_cell() -> None:
    ours = {Kind.UNSUPPORTED_PARAMETER, Kind.NOT_ON_WIRE, Kind.UNSENDABLE, Kind.UPLOAD_REFUSED}
    assert {kind for cell in possible() for kind in cell.fates} == set(Kind) - ours
