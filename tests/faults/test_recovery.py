"""Answers that break off before their caller's eyes, and the one second answer that may mend them.

The wire is real: what the caller holds in the end is one attempt's whole answer, or an honest error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.faults.gateways import door, fresh, turns
from tests.faults.proxy import FOREVER, Call, FaultProxy, Fin, Rule, Script, Seen, Step
from tests.faults.reply import Seen as Reply
from tests.faults.reply import ask, read
from tests.faults.speech import right, says, speech_for, words_of
from tests.faults.test_matrix import metrics_of
from tests.running import Running
from tests.wires.answers import event
from tests.wires.upstream import answer

WORDS = tuple(f"word-{number} " for number in range(8))
TEXT = "".join(WORDS)
KEYS = ",".join(f"{name}:poe-key-{name}-0000" for name in ("one", "two", "three"))


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: FaultProxy) -> Iterator[Running]:
    with door(proxy.url) as server:
        proxy.barrier = lambda: turns(server.loop)
        yield server


def whole(call: Call) -> Script:
    """The same words whoever is asked."""
    return says(call, WORDS)


def broken_after(count: int, *tail: Step, words: tuple[str, ...] = WORDS) -> Callable[[Call], Script]:
    """Some words, and then something else than the rest of them."""

    def script(call: Call) -> Script:
        head, first, *events = says(call, words)
        return [head, first, *events[:count], Seen(), *(tail or (Fin(),))]

    return script


def limited(call: Call) -> Script:
    return [answer("429 Too Many Requests", b"{}")]


def limited_after(count: int) -> Callable[[Call], Script]:
    """Some words, and then a rate limit in band."""

    def script(call: Call) -> Script:
        text = {"text": "You have exceeded the rate limit for querying with a User API Key.", "allow_retry": True}
        frame = event("error", text) if call.wire == "bot" else b'data: {"error":{"code":429,"message":"limit"}}\n\n'
        return broken_after(count, b"%x\r\n%b\r\n" % (len(frame), frame), Fin())(call)

    return script


def play(
    server: Running,
    proxy: FaultProxy,
    wire: str,
    *scripts: Callable[[Call], Script],
    stream: bool = True,
    **settings: str,
) -> tuple[Reply, list[Call], Running]:
    """Ask once, with a script for each call; the last one answers all others."""
    proxy.reset(*[Rule(script, nth=range(1, 2)) for script in scripts[:-1]], Rule(scripts[-1]))
    chosen = {"POE_API_KEYS": KEYS, "RECOVERY": "verified", "IDLE_TIMEOUT": "0.3", **settings}
    with fresh(server, proxy.url, **chosen) as gateway, httpx.Client(timeout=20) as client:
        reply = read(ask(client, gateway.url, stream=stream, wire=wire))
        calls = proxy.settled()
        attempts, _ = metrics_of(gateway.exposition())
        assert sum(attempts.values()) == len(calls) == gateway.lines()[-1]["attempts"]
        assert gateway.call(lambda: gateway.gateway.pool.open_leases) == 0
    return reply, calls, gateway


def is_whole(reply: Reply) -> bool:
    return reply.error is None and reply.done and reply.finish == "stop" and reply.text == TEXT


def is_honest(reply: Reply, text: str) -> bool:
    return reply.error is not None and not reply.done and reply.finish is None and reply.text == text


wires = pytest.mark.parametrize("wire", ["chat", "bot"])


@wires
@pytest.mark.parametrize("tail", [(Fin(),), (FOREVER,)], ids=["cut", "stall"])
def test_the_same_answer_supplies_the_rest(
    server: Running, proxy: FaultProxy, wire: str, tail: tuple[Step, ...]
) -> None:
    reply, calls, _ = play(server, proxy, wire, broken_after(4, *tail), whole)
    assert is_whole(reply)
    assert len({call.key for call in calls}) == len(calls) == 2


@wires
def test_another_answer_is_never_glued_on(server: Running, proxy: FaultProxy, wire: str) -> None:
    other = ("word-0 ", "word-1 ", "word-2 ", "else ", "word-4 ")
    reply, calls, gateway = play(server, proxy, wire, broken_after(4), lambda call: says(call, other), whole)
    assert is_honest(reply, "".join(WORDS[:4]))
    assert len(calls) == 2
    assert gateway.lines()[-1]["outcome"] == "upstream_error"


@wires
def test_a_shorter_answer_is_another_one(server: Running, proxy: FaultProxy, wire: str) -> None:
    reply, calls, _ = play(server, proxy, wire, broken_after(4), lambda call: says(call, WORDS[:2]), whole)
    assert is_honest(reply, "".join(WORDS[:4]))
    assert len(calls) == 2


@wires
def test_a_second_break_is_the_end(server: Running, proxy: FaultProxy, wire: str) -> None:
    reply, calls, _ = play(server, proxy, wire, broken_after(4), broken_after(6), whole)
    assert is_honest(reply, "".join(WORDS[:6])) or is_honest(reply, "".join(WORDS[:4]))
    assert len(calls) == 2


@wires
def test_a_key_that_is_refused_before_the_model_is_asked_gives_way_to_the_next(
    server: Running, proxy: FaultProxy, wire: str
) -> None:
    reply, calls, _ = play(server, proxy, wire, broken_after(4), limited, whole)
    assert is_whole(reply)
    assert len({call.key for call in calls}) == len(calls) == 3


@wires
@pytest.mark.parametrize("count", [2, 4, 6])
def test_a_second_answer_that_a_keys_own_failure_breaks_off_is_the_end(
    server: Running, proxy: FaultProxy, wire: str, count: int
) -> None:
    reply, calls, _ = play(server, proxy, wire, broken_after(4), limited_after(count), whole)
    assert reply.error is not None
    assert TEXT.startswith(reply.text)
    assert len(calls) == 2


@wires
def test_off_is_off(server: Running, proxy: FaultProxy, wire: str) -> None:
    reply, calls, _ = play(server, proxy, wire, broken_after(4), whole, RECOVERY="off")
    assert is_honest(reply, "".join(WORDS[:4]))
    assert len(calls) == 1


@wires
@pytest.mark.parametrize("recovery", ["whole", "verified"])
def test_an_answer_that_is_held_back_may_be_any_attempts(
    server: Running, proxy: FaultProxy, wire: str, recovery: str
) -> None:
    """Whole answers under `verified`, and streams under `whole`: nobody has a part of the first one."""
    stream = recovery == "whole"
    reply, calls, _ = play(
        server,
        proxy,
        wire,
        broken_after(4) if stream or wire == "bot" else half_a_body,
        right,
        stream=stream,
        RECOVERY=recovery,
    )
    assert reply.error is None
    assert reply.text == "".join(words_of(calls[-1]))
    assert len(calls) == 2


def half_a_body(call: Call) -> Script:
    return [answer("200 OK", speech_for(call).json)[:-30], Fin()]
