"""The server's own limits: heads, slow senders, callers who leave, and the drain."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest

from service import server
from service.dialects.chat.encode import StreamEncoder
from tests.running import TOKEN, Running, running, sandboxed

BODY = orjson.dumps({"model": "sandbox-echo", "messages": [{"role": "user", "content": "hello"}]})


@contextmanager
def connected(gateway: Running, *, narrow: bool = False) -> Iterator[socket.socket]:
    """A connection. `narrow`: it takes in next to nothing that is not read, and from the start, since the kernel drops
    what is on its way into a window that is shrunk, and tries again ever later.
    """
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.settimeout(10)
        if narrow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect((host, int(port)))
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def request(headers: str = "", body: bytes = BODY, path: str = "/v1/chat/completions", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


def error_of(reply: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = reply.partition(b"\r\n\r\n")
    error: dict[str, Any] = orjson.loads(body)["error"]
    return int(head.split(b" ")[1]), error


AUTH = f"Authorization: Bearer {TOKEN}\r\n"


@pytest.fixture(scope="module")
def strict(sandbox_url: str) -> Iterator[Running]:
    with running(sandbox_url, MAX_HEADER="4KiB", READ_TIMEOUT="0.4") as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        (AUTH + "X-Big: " + "a" * 5_000 + "\r\n", "/v1/chat/completions", 431),
        (AUTH + "".join(f"X-{n}: {'b' * 90}\r\n" for n in range(60)), "/v1/chat/completions", 431),
        ("X-Big: " + "a" * 5_000 + "\r\n", "/v1/chat/completions", 401),
        ("X-Big: " + "a" * 5_000 + "\r\n", "/v1/nothing", 404),
    ],
)
def test_a_large_head_is_refused_in_the_order_of_checks(strict: Running, headers: str, path: str, status: int) -> None:
    with connected(strict) as connection:
        connection.sendall(request(headers + "Connection: close\r\n", path=path))
        assert error_of(all_of(connection))[0] == status


def test_a_head_without_end_is_answered_and_not_kept(strict: Running) -> None:
    with connected(strict) as connection:
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{AUTH}X-Endless: ".encode())
        sent = 0
        try:
            for _ in range(200):
                connection.sendall(b"a" * 4_096)
                sent += 4_096
        except OSError:
            pass
        reply = b""
        try:
            reply = all_of(connection)
        except ConnectionResetError:
            pytest.skip("the answer was lost to the reset that our own sending caused")
        status, error = error_of(reply)
        assert (status, error["code"]) == (431, "headers_too_large")


def test_an_endless_request_line_is_refused(strict: Running) -> None:
    with connected(strict) as connection:
        connection.sendall(b"GET /" + b"a" * 6_000)
        status, error = error_of(all_of(connection))
        assert (status, error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("begun", [b"POST /v1/chat", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(strict: Running, begun: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(begun)
        status, error = error_of(all_of(connection))
        assert (status, error["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("sent", [b"garbage\r\n\r\n", b"GET /" + b"a" * 6_000])
def test_what_never_reached_the_application_has_an_id_and_a_date_too(strict: Running, sent: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(sent)
        head = all_of(connection).partition(b"\r\n\r\n")[0]
        assert re.search(rb"\r\nx-request-id: req_[0-9a-f]{24}(\r\n|$)", head)
        assert b"\r\ndate: " in head


def test_a_connection_that_says_nothing_is_closed(strict: Running) -> None:
    with connected(strict) as connection:
        assert all_of(connection) == b""


def test_a_body_that_does_not_come_is_not_waited_for(strict: Running) -> None:
    with connected(strict) as connection:
        connection.sendall(request(AUTH)[:-5])
        status, error = error_of(all_of(connection))
        assert (status, error["code"]) == (408, "request_timeout")


def test_a_slow_but_steady_head_is_not_kept_alive_by_its_drops(strict: Running) -> None:
    """The time is for the whole head, not from byte to byte."""
    with connected(strict) as connection:
        began = time.monotonic()
        try:
            for byte in request(AUTH)[:40]:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n"])
def test_what_is_no_http_is_told_in_json(strict: Running, junk: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(junk)
        status, error = error_of(all_of(connection))
        assert status == 400
        assert error["type"] == "invalid_request_error"


def test_one_connection_serves_many_requests(strict: Running) -> None:
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        for _ in range(3):
            reply = client.post(f"{strict.url}/v1/chat/completions", content=BODY)
            assert reply.status_code == 200
    assert [line["status"] for line in strict.lines()[-3:]] == [200, 200, 200]


def test_pipelined_requests_are_answered_in_order(strict: Running) -> None:
    with connected(strict) as connection:
        last = request(AUTH + "Connection: close\r\nX-Request-Id: two\r\n")
        connection.sendall(request(AUTH + "X-Request-Id: one\r\n") + last)
        reply = all_of(connection)
        assert reply.count(b"HTTP/1.1 200 OK") == 2
        assert reply.index(b"x-request-id: one") < reply.index(b"x-request-id: two")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_caller_who_leaves_stops_the_upstream_call(stream: bool, wire: str) -> None:
    asked = {
        "model": "sandbox-slow",
        "stream": stream,
        "messages": [{"role": "user", "content": "speed: 2\n" + "word " * 40}],
    }
    with sandboxed() as (url, sandbox), running(url) as gateway:
        with connected(gateway) as connection:
            connection.sendall(request(AUTH + f"x-proxy-wire: {wire}\r\n", orjson.dumps(asked)))
            wait_for(lambda: any(call.model for call in sandbox.calls))
            time.sleep(0.2)
        wait_for(lambda: any(line["outcome"] == "cancelled" for line in gateway.lines()))
        call = next(call for call in sandbox.calls if call.model)
        wait_for(lambda: call.ended is not None)
        assert call.ended == "left"
        assert set(gateway.gateway.pool.states().values()) == {"usable"}
        assert gateway.call(lambda: gateway.gateway.pool.open_leases) == 0
        assert gateway.call(lambda: gateway.gateway.open_requests) == 0


def test_a_caller_who_leaves_requests_behind_is_seen_to_leave(caplog: pytest.LogCaptureFixture) -> None:
    """The request that is being answered is not the newest one of its connection."""
    asked = {"model": "sandbox-slow", "messages": [{"role": "user", "content": "speed: 2\n" + "word " * 40}]}
    with sandboxed() as (url, sandbox), running(url) as gateway:
        with connected(gateway) as connection:
            connection.sendall(request(AUTH, orjson.dumps(asked)) * 2)
            wait_for(lambda: any(call.model for call in sandbox.calls))
        wait_for(lambda: any(line["outcome"] == "cancelled" for line in gateway.lines()))
        wait_for(lambda: gateway.call(lambda: not gateway.server.server_state.tasks))
        assert len([call for call in sandbox.calls if call.model]) == 1
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def send_until_unread(gateway: Running, connection: socket.socket, path: str, condition: Callable[[], bool]) -> None:
    """Ask again and again without reading, until the answers fill more than what the sockets take."""

    def take_little() -> None:
        for protocol in gateway.server.server_state.connections:
            protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)

    wait_for(lambda: gateway.call(lambda: bool(gateway.server.server_state.connections)))
    gateway.call(take_little)
    deadline = time.monotonic() + 10
    while not gateway.call(condition):
        assert time.monotonic() < deadline
        connection.sendall(request(path=path, method="GET", body=b"") * 4)
        time.sleep(0.002)


@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"])
def test_a_connection_whose_answers_nobody_reads_is_cut(sandbox_url: str, headers: str) -> None:
    with running(sandbox_url) as gateway:
        state = gateway.server.server_state

        def unsent() -> bool:
            return any(protocol.transport.get_write_buffer_size() for protocol in state.connections)

        def keep_shortly() -> None:
            for protocol in state.connections:
                assert protocol.timeout_keep_alive == server.KEEPALIVE_SECONDS
                protocol.timeout_keep_alive = 0.3

        with connected(gateway, narrow=True) as connection:
            send_until_unread(gateway, connection, "/health", unsent)
            gateway.call(keep_shortly)
            connection.sendall(request(headers, path="/health", method="GET", body=b""))
            wait_for(lambda: gateway.call(lambda: not state.connections))
        assert gateway.call(lambda: gateway.gateway.open_requests) == 0


def test_a_page_that_nobody_reads_is_open_only_for_a_while(sandbox_url: str) -> None:
    with running(sandbox_url) as gateway:
        state = gateway.server.server_state
        with connected(gateway, narrow=True) as connection:
            send_until_unread(
                gateway,
                connection,
                "/openapi.json",
                lambda: any(protocol.flow.write_paused for protocol in state.connections),
            )
            assert gateway.call(lambda: gateway.gateway.open_requests) == 1
            gateway.end_all_limits()
            wait_for(lambda: gateway.call(lambda: not state.connections))
        assert gateway.call(lambda: gateway.gateway.open_requests) == 0


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_keepalives_fill_the_silence_and_the_head_does_not_wait_for_ever(sandbox_url: str) -> None:
    asked = {
        "model": "sandbox-failing",
        "stream": True,
        "messages": [{"role": "user", "content": "fail: stall 1\none two three"}],
    }
    with (
        running(sandbox_url, HEAD_DEADLINE="0.1", KEEPALIVE="0.1") as gateway,
        httpx.stream(
            "POST",
            f"{gateway.url}/v1/chat/completions",
            json=asked,
            headers={"Authorization": f"Bearer {TOKEN}", "x-proxy-wire": "chat"},
            timeout=10,
        ) as reply,
    ):
        assert reply.status_code == 200
        text = "".join(reply.iter_text())
    assert text.startswith(": keep-alive\n\n"), "the head waited for the stalled model"
    assert text.count(": keep-alive") >= 3
    assert text.rstrip().endswith("data: [DONE]")


def test_a_failure_behind_a_head_that_left_is_told_in_band(sandbox_url: str) -> None:
    asked = {
        "model": "sandbox-failing",
        "stream": True,
        "messages": [{"role": "user", "content": "fail: late 0.4 status"}],
    }
    asked["messages"][0]["content"] = "fail: stall 9"  # type: ignore[index]
    with running(sandbox_url, HEAD_DEADLINE="0.1", FIRST_EVENT_TIMEOUT="0.4", ANSWER_TIMEOUT="0.5") as gateway:
        reply = httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json=asked,
            headers={"Authorization": f"Bearer {TOKEN}", "x-proxy-wire": "chat"},
            timeout=10,
        )
    assert reply.status_code == 200
    assert "[DONE]" not in reply.text
    last = orjson.loads(reply.text.rstrip().splitlines()[-1].removeprefix("data: "))
    assert last["error"]["code"] == "upstream_timeout"
    assert gateway.lines()[-1]["outcome"] == "upstream_timeout"


def streamed(gateway: Running, words: str) -> tuple[str, dict[str, Any]]:
    """The text of a stream from the failing model on the chat wire, and its last event."""
    asked = {"model": "sandbox-failing", "stream": True, "messages": [{"role": "user", "content": words}]}
    headers = {"Authorization": f"Bearer {TOKEN}", "x-proxy-wire": "chat"}
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers, timeout=10)
    assert reply.status_code == 200
    assert "[DONE]" not in reply.text
    last: dict[str, Any] = orjson.loads(reply.text.rstrip().splitlines()[-1].removeprefix("data: "))
    return reply.text, last


def test_the_total_time_ends_a_stream_that_has_begun_in_band(sandbox_url: str) -> None:
    with running(sandbox_url, TOTAL_TIMEOUT="0.6") as gateway:
        text, last = streamed(gateway, "fail: stall 9 after 3")
        assert "content" in text
        assert last["error"]["code"] == "upstream_timeout"
        assert gateway.lines()[-1]["outcome"] == "upstream_timeout"


def test_a_fault_of_ours_ends_a_stream_that_has_begun_in_band(
    sandbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> bytes:
        raise RuntimeError("a secret of the code")

    monkeypatch.setattr(StreamEncoder, "_finish", broken)
    with running(sandbox_url) as gateway:
        text, last = streamed(gateway, "fail: stall 0.3 after 2\none two three four")
        assert last["error"]["code"] == "internal_error"
        assert "secret" not in text
        assert [line["error"] for line in gateway.lines("internal error")] == ["RuntimeError"]
