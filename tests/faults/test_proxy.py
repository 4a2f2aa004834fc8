"""The fault proxy does what its scripts say, and remembers truly what came of it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import orjson
import pytest

from tests.faults.proxy import FOREVER, Call, FaultProxy, Fin, Repeat, Rule, Script, drip
from tests.faults.speech import STREAM_HEAD, right, speech_for, words_of
from tests.wires.upstream import Reset, Wait, answer

BODY = orjson.dumps({"model": "m", "stream": True})


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


def connected(proxy: FaultProxy, path: str = "/v1/chat/completions", key: str = "k1") -> socket.socket:
    """A connection on which a request was made."""
    host, port = proxy.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    head = f"POST {path} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    connection.sendall(head.encode() + BODY)
    return connection


def all_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    with connection:
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def fixed(*script: bytes | Wait | Reset | Fin | Repeat) -> Rule:
    """The same script for every call."""
    return Rule(lambda call: script)


def test_fin_and_rst_are_two_ends(proxy: FaultProxy) -> None:
    proxy.reset(fixed(STREAM_HEAD, Fin()))
    assert all_of(connected(proxy)) == STREAM_HEAD
    proxy.reset(fixed(STREAM_HEAD, Reset()))
    with pytest.raises(ConnectionResetError):
        all_of(connected(proxy))
    assert [call.end for call in proxy.settled()] == ["cut"]


def test_a_caller_who_leaves_is_seen_at_once(proxy: FaultProxy) -> None:
    for script in ([FOREVER], [STREAM_HEAD, FOREVER], [STREAM_HEAD, Repeat(b"x" * 100_000)]):
        proxy.reset(fixed(*script))
        connection = connected(proxy)
        proxy.wait(lambda: bool(proxy.asked()))
        time.sleep(0.05)
        assert proxy.asked()[0].end is None
        left_at = time.monotonic()
        connection.close()
        assert proxy.settled()[0].end == "left"
        assert proxy.asked()[0].ended - left_at < 5


def test_who_does_not_read_is_not_written_to_for_ever(proxy: FaultProxy) -> None:
    proxy.reset(fixed(STREAM_HEAD, Repeat(b"x" * 100_000)))
    with connected(proxy):
        proxy.wait(lambda: bool(proxy.asked()) and proxy.asked()[0].sent > 100_000)
        time.sleep(0.1)
        sent = proxy.asked()[0].sent
        time.sleep(0.1)
        assert proxy.asked()[0].sent == sent


def test_rules_go_by_key_model_wire_and_number(proxy: FaultProxy) -> None:
    def refused(status: str) -> Rule:
        return Rule(lambda call: [answer(status, b""), Fin()])

    rules = [refused("401 A"), refused("402 B"), refused("403 C"), refused("404 D")]
    rules[0].key, rules[1].wire, rules[1].model, rules[2].nth = "k2", "bot", "Some Bot", {2}
    rules[3].nth = {1, 2}  # among the calls that come as far as this rule
    proxy.reset(*rules)
    calls = [
        ("/v1/chat/completions", "k2", b" 401 "),
        ("/bot/Some%20Bot", "k1", b" 402 "),
        ("/bot/Other", "k1", b" 404 "),
        ("/bot/Other", "k1", b" 403 "),
        ("/bot/Other", "k1", b" 404 "),
    ]
    for path, key, status in calls:
        assert status in all_of(connected(proxy, path, key))
    assert [(call.wire, call.key, call.model) for call in proxy.settled()] == [
        ("chat", "k2", "m"),
        ("bot", "k1", "Some Bot"),
        *[("bot", "k1", "Other")] * 3,
    ]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/bot/B"])
@pytest.mark.parametrize("dripped", [False, True])
def test_the_right_answer_keeps_its_connection(proxy: FaultProxy, path: str, dripped: bool) -> None:
    def script(call: Call) -> Script:
        steps = speech_for(call).right()
        return drip(b"".join([step for step in steps if isinstance(step, bytes)])) if dripped else steps

    proxy.reset(Rule(script))
    host, port = proxy.url.removeprefix("http://").split(":")
    client = http.client.HTTPConnection(host, int(port), timeout=5)
    for _ in range(2):
        client.request("POST", path, BODY, {"Authorization": "Bearer k1"})
        text = client.getresponse().read().decode()
        word = words_of(proxy.asked()[-1])[0]
        assert word in text
    client.close()
    assert [call.end for call in proxy.settled()] == ["finished"] * 2


def test_a_balance_is_told_without_a_rule(proxy: FaultProxy) -> None:
    proxy.reset()
    host, port = proxy.url.removeprefix("http://").split(":")
    client = http.client.HTTPConnection(host, int(port), timeout=5)
    client.request("GET", "/usage/current_balance", headers={"Authorization": "Bearer k9"})
    assert orjson.loads(client.getresponse().read()) == {"current_point_balance": 100}
    client.close()
    assert [(call.wire, call.key) for call in proxy.calls] == [("balance", "k9")]
    assert proxy.asked() == []
