"""What has no end, or is not taken, costs a bounded amount: of memory, of bytes from Poe, of time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import orjson
import pytest

from service.api import completions
from service.wires import chat
from service.wires import list as model_list
from service.wires.bot_text import MAX_ANSWER_BYTES
from service.wires.http import MAX_ERROR_BODY_BYTES
from tests.faults.gateways import door, fresh
from tests.faults.proxy import Call, FaultProxy, Repeat, Rule, Script
from tests.faults.reply import ask, read
from tests.faults.speech import STREAM_HEAD, framed, right, says, speech_for, words_of
from tests.faults.test_matrix import CLOSED_SECONDS, SLACK_SECONDS
from tests.running import TOKEN, Running
from tests.test_serve import Process, process

KERNEL_BYTES = 24 * 1024 * 1024
"""What sockets between two processes may hold for one stream, on their way in and out of the gateway."""
IDLE_SECONDS = 1.5
"""What the service thinks of as silence: more than the upstream of these tests keeps quiet on a busy machine."""
READERS = 6
MEMORY_BYTES = {"chat": 2 * 1024 * 1024, "bot": MAX_ANSWER_BYTES + 4 * 1024 * 1024}
"""For each reader. The text of a bot's answer is kept, since the bot may replace it."""
SPARE_BYTES = 8 * 1024 * 1024
"""What a process takes that has begun to work."""
BATCH = 200
"""Words in one write of an endless answer."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: FaultProxy) -> Iterator[Running]:
    with door(proxy.url) as server:
        yield server


@pytest.fixture(scope="module")
def service(proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A gateway in a process of its own, whose memory can be told from that of the tests."""
    with process(
        tmp_path_factory.mktemp("service"),
        POE_API_KEYS="first:poe-key-first-0000",
        ACCESS_TOKENS=f"tests:{TOKEN}",
        POE_BASE_URL=proxy.url,
        IDLE_TIMEOUT=str(IDLE_SECONDS),
    ) as running:
        yield running


def memory(running: Process) -> int:
    """Resident bytes of the service."""
    status = Path(f"/proc/{running.popen.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def endless(call: Call) -> Script:
    """Words for ever."""
    speech = speech_for(call)
    return [*speech.begun(1), Repeat(framed(speech.events[1] * BATCH))]


def begin(port: int, wire: str, *, stream: bool = True) -> socket.socket:
    """Ask for an answer, and read nothing of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    body = orjson.dumps({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
        f"x-proxy-wire: {wire}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def at_rest(proxy: FaultProxy) -> list[int]:
    """The bytes that each call has given, once that no longer changes."""
    sent: list[int] = []
    unchanged_since = time.monotonic()
    while time.monotonic() - unchanged_since < 0.3:
        now = [call.sent for call in proxy.asked()]
        if now != sent:
            sent, unchanged_since = now, time.monotonic()
            assert max(sent, default=0) < KERNEL_BYTES, "the upstream is read from although nobody takes the answer"
        time.sleep(0.02)
    return sent


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_callers_who_do_not_read_pause_the_upstream(proxy: FaultProxy, service: Process, wire: str) -> None:
    proxy.reset(Rule(endless))
    before = memory(service)
    with ExitStack() as connections:
        for _ in range(READERS):
            connections.enter_context(begin(service.port, wire))
        proxy.wait(lambda: len(proxy.asked()) == READERS)
        at_rest(proxy)
        assert memory(service) - before < READERS * MEMORY_BYTES[wire] + SPARE_BYTES
        # The upstream has been left alone for longer than IDLE_TIMEOUT, and it is not its fault: nothing was given up.
        time.sleep(IDLE_SECONDS * 1.2)
        assert {call.end for call in proxy.asked()} == {None}
        left_at = time.monotonic()
    assert {call.end for call in proxy.settled()} == {"left"}
    assert max(call.ended for call in proxy.asked()) - left_at < CLOSED_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_caller_who_reads_late_gets_all_of_it(proxy: FaultProxy, service: Process, wire: str) -> None:
    words = [f" word-{number:06}" * 20 for number in range(4_000)]
    proxy.reset(Rule(lambda call: says(call, words)))
    with begin(service.port, wire) as connection:
        proxy.wait(lambda: bool(proxy.asked()))
        time.sleep(IDLE_SECONDS * 1.2)
        parts = []
        while part := connection.recv(1 << 20):
            parts.append(part)
    reply = b"".join(parts).decode()
    assert "data: [DONE]" in reply
    deltas = [orjson.loads(line[6:]) for line in reply.splitlines() if line.startswith('data: {"')]
    text = "".join(choice["delta"].get("content") or "" for delta in deltas for choice in delta["choices"])
    assert text == "".join(words)


def port_of(gateway: Running) -> int:
    return int(gateway.url.rpartition(":")[2])


def test_a_whole_answer_that_nobody_reads_is_open_until_its_time_is_over(server: Running, proxy: FaultProxy) -> None:
    proxy.reset(Rule(lambda call: says(call, ["x" * (16 * 1024 * 1024)]), nth={1}))
    with fresh(server, proxy.url, MAX_STREAMS="1") as gateway:
        with begin(port_of(gateway), "chat", stream=False):
            wait_for(gateway, lambda: unsent_bytes(gateway) > 0)
            assert question(gateway, "chat", stream=False).json()["error"]["code"] == "overloaded"
            gateway.end_all_limits()
            wait_for(gateway, lambda: gateway.gateway.open_requests == 0)
            wait_for(gateway, lambda: unsent_bytes(gateway) == 0)
        assert read(question(gateway, "chat", stream=False)).status == 200
        ends = [(line["outcome"], line["status"]) for line in gateway.lines()]
        assert ends == [("overloaded", 503), ("upstream_timeout", 200), ("ok", 200)]


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_stream_that_nobody_reads_ends_soon_after_its_time(
    server: Running, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, wire: str
) -> None:
    monkeypatch.setattr(completions, "LAST_WORDS_SECONDS", 0.2)
    proxy.reset(Rule(endless))
    with fresh(server, proxy.url) as gateway:
        with begin(port_of(gateway), wire):
            wait_for(gateway, lambda: unsent_bytes(gateway) > 0)
            gateway.end_all_limits()
            wait_for(gateway, lambda: unsent_bytes(gateway) == gateway.gateway.open_requests == 0)
            assert gateway.call(lambda: (gateway.gateway.pool.open_leases, gateway.gateway.body_bytes)) == (0, 0)
        assert [(line["outcome"], line["status"]) for line in gateway.lines()] == [("upstream_timeout", 200)]
        assert {call.end for call in proxy.settled()} == {"left"}


def unsent_bytes(gateway: Running) -> int:
    """What has been written for all callers and lies in this process."""
    return sum(protocol.transport.get_write_buffer_size() for protocol in gateway.server.server_state.connections)


def wait_for(gateway: Running, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not gateway.call(condition):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def question(server: Running, wire: str, *, stream: bool) -> httpx.Response:
    with httpx.Client(timeout=20) as client:
        return ask(client, server.url, stream=stream, wire=wire)


def test_a_whole_answer_without_end_is_given_up(
    server: Running, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "MAX_ANSWER_BYTES", 500_000)
    proxy.reset(Rule(lambda call: [STREAM_HEAD, Repeat(framed(b" " * 50_000))], nth={1}))
    with fresh(server, proxy.url) as gateway:
        reply = read(question(gateway, "chat", stream=False))
        first, second = proxy.settled()
        assert reply.text == "".join(words_of(second))
        assert first.end == "left"
        assert first.sent < 500_000 + KERNEL_BYTES


@pytest.mark.parametrize("wire", ["chat", "bot"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_refusal_without_end_is_not_read_to_its_end(
    server: Running, proxy: FaultProxy, wire: str, stream: bool
) -> None:
    head = STREAM_HEAD.replace(b"200 OK", b"500 Oh No")
    proxy.reset(Rule(lambda call: [head, Repeat(framed(b"no " * 10_000))], nth={1}))
    with fresh(server, proxy.url) as gateway:
        reply = read(question(gateway, wire, stream=stream))
        first, second = proxy.settled()
        assert reply.text == "".join(words_of(second))
        assert first.end == "left"
        assert first.sent < MAX_ERROR_BODY_BYTES + KERNEL_BYTES


def test_a_list_of_models_without_end_is_given_up(
    server: Running, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_list, "MAX_LIST_BYTES", 500_000)
    head = STREAM_HEAD.replace(b"text/event-stream", b"application/json")
    proxy.reset(Rule(lambda call: [head, Repeat(framed(b" " * 50_000))], wire="models"))
    with fresh(server, proxy.url) as gateway:
        proxy.wait(lambda: any(call.wire == "models" and call.end for call in proxy.calls))
        call = next(call for call in proxy.calls if call.wire == "models")
        assert call.end == "left"
        assert call.sent < 500_000 + KERNEL_BYTES
        assert read(question(gateway, "chat", stream=True)).done
