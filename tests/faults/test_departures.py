"""A caller who leaves takes everything along: the call of Poe, the place in the queue, the retry, the upload.

Whatever it waited for is closed within a fifth of a second, and nobody is blamed.
"""

from __future__ import annotations

import base64
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import orjson
import pytest
from _pytest.mark import ParameterSet

from tests.faults.gateways import door, fresh, turns
from tests.faults.proxy import FOREVER, Call, FaultProxy, Fin, Repeat, Rule, Script, Seen
from tests.faults.speech import STREAM_HEAD, framed, right, speech_for
from tests.faults.test_matrix import CLOSED_SECONDS, SLACK_SECONDS, metrics_of
from tests.running import TOKEN, Running
from tests.wires.upstream import answer

LIMIT_SECONDS = CLOSED_SECONDS + SLACK_SECONDS
ONE_KEY = {"POE_API_KEYS": "first:poe-key-first-0000"}
Manner = Literal["keep-alive", "close", "second"]
"""How the connection is meant: to be kept, to be closed, or kept from a request before."""


@dataclass(frozen=True)
class Stage:
    """Where a request stands when its caller leaves.

    `script` is what the last of `calls` calls meets; `earlier` what those before it meet. `pause_seconds` passes before
    the caller leaves, and `later_seconds` afterwards in which nothing more may come.
    """

    script: Callable[[Call], Script]
    calls: int = 1
    earlier: Callable[[Call], Script] | None = None
    settings: dict[str, str] = field(default_factory=dict)
    members: dict[str, object] = field(default_factory=dict)
    waits_for_upstream: bool = True
    streamed_only: bool = False
    pause_seconds: float = 0.05
    later_seconds: float = 0.0


def silent(call: Call) -> Script:
    return [FOREVER]


def head_alone(call: Call) -> Script:
    return [STREAM_HEAD, FOREVER]


def no_word(call: Call) -> Script:
    speech = speech_for(call)
    return [*speech.begun(), FOREVER] if speech.streams else [answer("200 OK", speech.json)[:-20], FOREVER]


def some_words(call: Call) -> Script:
    speech = speech_for(call)
    return [*speech.begun(3), FOREVER] if speech.streams else [answer("200 OK", speech.json)[:-20], FOREVER]


def endless_words(call: Call) -> Script:
    speech = speech_for(call)
    return [*speech.begun(3), Repeat(framed(speech.events[3]), 0.01)] if speech.streams else no_word(call)


def half_a_refusal(call: Call) -> Script:
    return [answer("500 Internal Server Error", b'{"error":{"message":"no"}}')[:-10], FOREVER]


def failing(call: Call) -> Script:
    return [answer("500 Internal Server Error", b"{}")]


def limited(call: Call) -> Script:
    return [answer("429 Too Many Requests", b"{}", headers="Retry-After: 1\r\n")]


def cut_short(call: Call) -> Script:
    speech = speech_for(call)
    return [*speech.begun(3), Seen(), Fin()] if speech.streams else [Fin()]


IMAGE = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + b"x" * 20_000).decode()
WITH_IMAGE = [
    {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": IMAGE}}]}
]

STAGES: dict[str, Stage] = {
    "before_the_head": Stage(silent),
    "behind_the_head": Stage(head_alone),
    "before_the_commit_point": Stage(no_word),
    "behind_the_commit_point": Stage(some_words),
    "while_words_come": Stage(endless_words, pause_seconds=0.1),
    "while_a_refusal_comes": Stage(half_a_refusal),
    "behind_our_own_head": Stage(silent, settings={"HEAD_DEADLINE": "0.02", "KEEPALIVE": "0.03"}, pause_seconds=0.15),
    "on_the_second_key": Stage(silent, calls=2, earlier=failing),
    "while_an_answer_is_recovered": Stage(
        silent, calls=2, earlier=cut_short, settings={"RECOVERY": "verified"}, streamed_only=True
    ),
    "in_the_pause_before_a_retry": Stage(failing, settings=ONE_KEY, waits_for_upstream=False, later_seconds=0.6),
    "while_a_limit_passes": Stage(limited, settings=ONE_KEY, waits_for_upstream=False, later_seconds=1.2),
}


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: FaultProxy) -> Iterator[Running]:
    with door(proxy.url) as server:
        proxy.barrier = lambda: turns(server.loop)
        yield server


class Caller:
    """One connection, on which a request can be made without waiting for its answer."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._connection = socket.create_connection((host, int(port)), timeout=10)

    def ask(self, wire: str, manner: Manner, **members: object) -> None:
        """Send one request."""
        body = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **members})
        lines = [
            "POST /v1/chat/completions HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {TOKEN}",
            f"x-proxy-wire: {wire}",
            f"Content-Length: {len(body)}",
            f"Connection: {'close' if manner == 'close' else 'keep-alive'}",
        ]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def read_until(self, ending: bytes) -> bytes:
        """Everything up to some bytes."""
        got = b""
        while not got.endswith(ending):
            part = self._connection.recv(65_536)
            assert part, got
            got += part
        return got

    def leave(self, *, hard: bool = False) -> float:
        """Close the connection, `hard` by a reset; when that was."""
        if hard:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()
        return time.monotonic()


@contextmanager
def asked(
    server: Running, proxy: FaultProxy, stage: Stage, wire: str, stream: bool, manner: Manner
) -> Iterator[tuple[Running, Caller]]:
    """A request that has come as far as the stage says."""
    with fresh(server, proxy.url, **stage.settings) as gateway:
        caller = Caller(gateway.url)
        proxy.reset()
        if manner == "second":
            caller.ask(wire, manner, stream=True)
            caller.read_until(b"0\r\n\r\n")
            gateway.lines()
        rules = [Rule(stage.script, nth=range(stage.calls, stage.calls + 1))]
        if stage.earlier is not None:
            rules.append(Rule(stage.earlier, nth=range(1, stage.calls)))
        for rule in rules:
            rule.wire = "bot" if wire == "bot" else "chat"
        proxy.reset(*rules)
        caller.ask(wire, manner, stream=stream, **stage.members)
        proxy.wait(lambda: len(proxy.asked()) == stage.calls)
        time.sleep(stage.pause_seconds)
        yield gateway, caller


def nobody_is_blamed(gateway: Running, results: list[str]) -> None:
    """One line, which says `cancelled`; what was asked failed by its own fault or was cancelled; all is as before."""
    inner = gateway.gateway
    assert gateway.lines()[-1]["outcome"] == "cancelled"
    attempts, requests = metrics_of(gateway.exposition())
    found = sorted(result for (_, _, result), count in attempts.items() for _ in range(count))
    assert [result for result in found if result != "ok"] == sorted(results)
    assert [outcome for _, _, outcome in requests if outcome != "ok"] == ["cancelled"]
    assert gateway.call(lambda: (inner.pool.open_leases, inner.pool.waiting, inner.open_requests)) == (0, 0, 0)
    assert gateway.call(lambda: inner.body_bytes) == 0
    levels = [orjson.loads(line)["level"] for line in gateway.log.getvalue().splitlines()]
    assert set(levels) <= {"info", "debug"}


def situations() -> Iterator[ParameterSet]:
    """Each stage on each wire, whole and streamed.

    What depends on neither is shown for one of them: the manner of the connection, and waiting that is not for the
    upstream. A whole answer is recovered in the open, as another attempt.
    """
    for name, stage in STAGES.items():
        for wire, stream, manner in product(("chat", "bot"), (False, True), ("keep-alive", "close", "second")):
            shown_once = (wire, stream) == ("chat", True)
            if (stream or not stage.streamed_only) and (
                shown_once or (manner == "keep-alive" and stage.waits_for_upstream)
            ):
                shape = "streamed" if stream else "whole"
                yield pytest.param(name, wire, stream, manner, id=f"{name}-{wire}-{shape}-{manner}")


@pytest.mark.parametrize(("name", "wire", "stream", "manner"), list(situations()))
def test_a_caller_who_leaves_stops_everything(
    server: Running, proxy: FaultProxy, name: str, wire: str, stream: bool, manner: Manner
) -> None:
    stage = STAGES[name]
    with asked(server, proxy, stage, wire, stream, manner) as (gateway, caller):
        left_at = caller.leave(hard=stream)
        proxy.wait(lambda: any(line["outcome"] == "cancelled" for line in gateway.lines()))
        assert time.monotonic() - left_at < LIMIT_SECONDS
        calls = proxy.settled()
        if stage.waits_for_upstream:
            assert calls[-1].end == "left"
            assert calls[-1].ended - left_at < LIMIT_SECONDS
        time.sleep(stage.later_seconds)
        assert len(proxy.asked()) == stage.calls, "something was asked after the caller had left"
        failed: dict[Callable[[Call], Script], str] = {failing: "broken", cut_short: "cut", limited: "rate_limited"}
        results = [failed[stage.earlier]] if stage.earlier is not None else []
        results.append("cancelled" if stage.waits_for_upstream else failed[stage.script])
        nobody_is_blamed(gateway, results)
        states = set(gateway.call(gateway.gateway.pool.states).values())
        assert states <= {"usable", "limited" if stage.script is limited else "usable"}


@pytest.mark.parametrize("kilobytes", [300, 3000])
def test_a_caller_with_a_long_prompt_is_seen_to_leave(server: Running, proxy: FaultProxy, kilobytes: int) -> None:
    proxy.reset(Rule(silent))
    with fresh(server, proxy.url) as gateway:
        caller = Caller(gateway.url)
        caller.ask("chat", "keep-alive", stream=True, messages=[{"role": "user", "content": "x" * 1000 * kilobytes}])
        proxy.wait(lambda: len(proxy.asked()) == 1)
        left_at = caller.leave()
        proxy.wait(lambda: proxy.asked()[0].end == "left", seconds=1.0)
        assert proxy.asked()[0].ended - left_at < LIMIT_SECONDS
        proxy.wait(lambda: bool(gateway.lines()))
        nobody_is_blamed(gateway, ["cancelled"])


def test_a_caller_who_leaves_gives_up_the_place_in_the_queue(server: Running, proxy: FaultProxy) -> None:
    one_a_minute = {**ONE_KEY, "POE_LIMIT_PER_MINUTE": "1", "QUEUE_WAIT": "90"}
    proxy.reset()
    with fresh(server, proxy.url, **one_a_minute) as gateway:
        first = Caller(gateway.url)
        first.ask("chat", "keep-alive", stream=True)
        first.read_until(b"0\r\n\r\n")
        second = Caller(gateway.url)
        second.ask("chat", "keep-alive", stream=True)
        pool = gateway.gateway.pool
        proxy.wait(lambda: gateway.call(lambda: pool.waiting) == 1)
        left_at = second.leave()
        proxy.wait(lambda: gateway.call(lambda: pool.waiting) == 0)
        assert time.monotonic() - left_at < LIMIT_SECONDS
        first.leave()
        assert len(proxy.asked()) == 1
        nobody_is_blamed(gateway, [])


def test_a_caller_who_leaves_stops_an_upload(server: Running, proxy: FaultProxy) -> None:
    proxy.reset(Rule(silent, wire="upload"))
    with fresh(server, proxy.url) as gateway:
        caller = Caller(gateway.url)
        caller.ask("bot", "keep-alive", stream=True, messages=WITH_IMAGE)

        def uploads() -> list[Call]:
            return [call for call in proxy.calls if call.wire == "upload"]

        proxy.wait(lambda: len(uploads()) == 1)
        time.sleep(0.05)
        left_at = caller.leave()
        proxy.wait(lambda: uploads()[0].end is not None)
        assert uploads()[0].end == "left"
        assert uploads()[0].ended - left_at < LIMIT_SECONDS
        proxy.wait(lambda: bool(gateway.lines()))
        nobody_is_blamed(gateway, ["cancelled"])
        assert proxy.asked() == []


def test_impatient_callers_do_not_close_a_model_to_the_others(server: Running, proxy: FaultProxy) -> None:
    """One well-known gateway counts them as failures, and opens its breaker."""
    proxy.reset(Rule(silent, nth=range(1, 9)))
    with fresh(server, proxy.url, BREAKER_FAILURES="2") as gateway:
        callers = [Caller(gateway.url) for _ in range(8)]
        for caller in callers:
            caller.ask("chat", "keep-alive", stream=True)
        proxy.wait(lambda: len(proxy.asked()) == 8)
        for caller in callers:
            caller.leave()
        assert {call.end for call in proxy.settled()} == {"left"}
        patient = Caller(gateway.url)
        patient.ask("chat", "close", stream=True)
        assert b"data: [DONE]" in patient.read_until(b"0\r\n\r\n")
        patient.leave()
        assert len(proxy.asked()) == 9
        assert set(gateway.call(gateway.gateway.pool.states).values()) == {"usable"}
        assert sorted(line["outcome"] for line in gateway.lines()) == ["cancelled"] * 8 + ["ok"]
