"""The client of the hot requests: what it writes, every way an answer may end or break, and that nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from service.errors import Failure, Kind, Refusal
from service.wires import client as clients
from service.wires import connection as connections
from service.wires.client import Client
from service.wires.connection import Answer, Body, Connection
from tests.wires.answers import pieces
from tests.wires.upstream import Reset, Script, Upstream, Wait, answer

SECRET = "kT3xSecretOf9Mine4711"
HEADERS = {"Authorization": f"Bearer {SECRET}"}
OK = answer("200 OK", b"hello")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FOREVER = Wait(30)


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: they differ in what they tell a protocol, and when."""
    return "asyncio", {"use_uvloop": request.param}


class Asking:
    """A client in front of a scripted upstream."""

    def __init__(self, client: Client, upstream: Upstream, host: str = "127.0.0.1") -> None:
        self.client = client
        self.upstream = upstream
        self.origin = client.origin(URL(upstream.url.replace("127.0.0.1", host)))

    async def post(self, body: bytes = b"{}") -> Answer:
        return await self.client.post(self.origin, "/v1/x", HEADERS, body)

    async def whole(self, body: bytes = b"{}") -> bytes:
        return await read(await self.post(body))


async def read(response: Answer) -> bytes:
    parts = []
    try:
        while part := await response.content.readany():
            parts.append(part)
    finally:
        response.close()
    return b"".join(parts)


@asynccontextmanager
async def asking(
    *scripts: Script, close: bool = False, tls: ssl.SSLContext | None = None, trusted: ssl.SSLContext | None = None
) -> AsyncIterator[Asking]:
    """Afterwards nothing is left: no connection, no task, no socket."""
    before, tasks = open_sockets(), len(asyncio.all_tasks())
    async with Upstream(scripts, close=close, tls=tls) as upstream, Client(trusted=trusted) as client:
        port = int(URL(upstream.url).port or 0)
        yield Asking(client, upstream)
    assert not client._connections
    assert not client._lingering
    assert client._connecting == 0
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: not open_sockets() - before - with_ends_elsewhere(port))


def open_sockets() -> set[str]:
    """The inodes of this process's sockets, other threads' among them."""
    own, found = Path("/proc/self/fd"), set()
    for name in os.listdir(own) if own.exists() else ():
        with suppress(FileNotFoundError):  # what another thread has closed meanwhile
            found.add(os.readlink(own / name))
    return {name.removeprefix("socket:[").rstrip("]") for name in found if name.startswith("socket:")}


def with_ends_elsewhere(port: int) -> set[str]:
    """The inodes of all sockets that other threads may open when they like: that have ends, and none at this port."""
    found = {line.split()[6] for line in lines_of("unix")}
    for row in [line.split() for name in ("tcp", "tcp6") for line in lines_of(name)]:
        if f":{port:04X}" not in row[1] + row[2]:
            found.add(row[9])
    return found


def lines_of(table: str) -> list[str]:
    path = Path("/proc/self/net") / table
    return path.read_text().splitlines()[1:] if path.exists() else []


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = perf_counter() + seconds
    while not holds():
        assert perf_counter() < end, "it did not come about"
        await asyncio.sleep(0.01)


async def failure_of(*scripts: Script, close: bool = True) -> Failure:
    async with asking(*scripts, close=close) as it:
        with pytest.raises(Failure) as caught:
            async with asyncio.timeout(5):
                await it.whole()
    return caught.value


# What is written.


@pytest.mark.anyio
async def test_a_request_is_written_as_the_protocol_has_it() -> None:
    async with asking(OK) as it:
        assert await it.whole(b'{"a":1}') == b"hello"
        assert it.upstream.requests == [
            f"POST /v1/x HTTP/1.1\r\nHost: {it.origin.authority}\r\nAccept-Encoding: identity\r\n"
            f"User-Agent: poe-proxy\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 7\r\n\r\n".encode()
            + b'{"a":1}'
        ]


@pytest.mark.anyio
@pytest.mark.parametrize("bad", ["a\r\nX: y", "a\nX: y", "a\r", "a\0", "ä", "\ud83d", "\x7f"])
@pytest.mark.parametrize("where", ["name", "value", "target"])
async def test_nothing_gets_into_a_head_that_is_no_part_of_one(bad: str, where: str) -> None:
    async with asking(OK) as it:
        headers = {f"X{bad}" if where == "name" else "X": f"{SECRET}{bad}" if where == "value" else "v"}
        with pytest.raises(ValueError, match="no part of a head") as caught:
            await it.client.post(it.origin, f"/{bad}" if where == "target" else "/", headers, b"")
        assert not it.upstream.requests
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.anyio
async def test_a_large_body_arrives_whole_and_its_connection_is_kept() -> None:
    body = bytes(range(256)) * 32 * 1024
    async with asking(OK) as it:
        for _ in range(2):
            assert await it.whole(body) == b"hello"
        assert all(request.endswith(b"\r\n\r\n" + body) for request in it.upstream.requests)
        assert it.upstream.connections == 1


@pytest.mark.anyio
async def test_a_refusal_that_comes_before_a_large_body_is_written_counts_and_ends_the_connection() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer("413 Too Large", b"no"))
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, Client() as client:
        origin = client.origin(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        async with asyncio.timeout(5):
            response = await client.post(origin, "/", {}, b"x" * 30_000_000)
            assert (response.status, await read(response)) == (413, b"no")
        await until(lambda: not client._connections)
        writers[0].close()


# How answers end.

WHOLE: list[tuple[bytes, int, bytes, bool]] = [
    (OK, 200, b"hello", True),
    (answer("200 OK", b""), 200, b"", True),
    (CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n", 200, b"hello", True),
    (CHUNKED + b"0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, 200, b"hello", True),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    (OK + b"x", 200, b"hello", False),
    (OK + OK, 200, b"hello", False),
    (answer("302 Found", b"away", headers="Location: http://127.0.0.1:9/\r\n"), 302, b"away", True),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("script", "status", "body", "kept"), WHOLE)
async def test_an_answer_ends_where_it_says_and_its_connection_is_kept_where_that_is_sound(
    script: bytes, status: int, body: bytes, kept: bool
) -> None:
    async with asking(script, OK) as it:
        response = await it.post()
        assert (response.status, await read(response)) == (status, body)
        assert response.content.at_eof()
        assert len(it.origin.idle) == kept
        assert await it.whole() == b"hello"
        assert it.upstream.connections == (1 if kept else 2)


@pytest.mark.anyio
@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: gzip\r\n"])
async def test_a_body_without_an_end_of_its_own_ends_with_the_connection(head: bytes) -> None:
    async with asking([b"HTTP/1.1 200 OK\r\n" + head + b"\r\nhel", Wait(0.02), b"lo"], close=True) as it:
        assert await it.whole() == b"hello"
        assert not it.origin.idle


@pytest.mark.anyio
async def test_names_of_headers_are_lower_case_and_repeated_ones_are_joined() -> None:
    async with asking(answer("200 OK", b"", headers="X-One: 1\r\nx-one: 2\r\nX-E: \xe4\r\n")) as it:
        headers = (await it.post()).headers
    assert headers["x-one"] == "1, 2"
    assert headers["content-type"] == "application/json"


# How they break.

LONG_HEAD = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (b"", Kind.UNREACHABLE),
        ([Reset()], Kind.UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-", Kind.UNREACHABLE),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Kind.UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Kind.CUT),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Wait(0.05), Reset()], Kind.CUT),
        (CHUNKED, Kind.CUT),
        (CHUNKED + b"5\r\nhello\r\n", Kind.CUT),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", Kind.CUT),
        (CHUNKED + b"5\r\nhelloX", Kind.CUT),
        (CHUNKED + b"zz\r\nhello\r\n", Kind.CUT),
        (CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 20_000, Kind.CUT),
        (CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"y" * 100_000, Kind.CUT),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", Kind.BROKEN),
        (b"HTTP/1.1 099 Odd\r\n\r\nhello", Kind.BROKEN),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\0\0", Kind.BROKEN),
        (b"HTTP/1.1 104 Odd\r\nContent-Length: 999999\r\n\r\n" + b"x" * 999_999, Kind.BROKEN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", Kind.BROKEN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Kind.BROKEN),
        (LONG_HEAD, Kind.BROKEN),
        (LONG_HEAD[:-2], Kind.BROKEN),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000 + OK, Kind.BROKEN),
    ],
)
async def test_what_breaks_is_a_failure_of_its_kind(script: Script, kind: Kind) -> None:
    failure = await failure_of(script)
    assert failure.kind is kind
    assert SECRET not in failure.message


@pytest.mark.anyio
@pytest.mark.usefixtures("lingering")
async def test_an_error_that_is_set_reaches_who_reads_and_what_came_is_not_lost() -> None:
    async with asking([answer("200 OK", b"x" * 9)[:-5], FOREVER]) as it:
        response = await it.post()
        assert await response.content.readany() == b"xxxx"
        asyncio.get_running_loop().call_later(0.02, response.content.set_exception, TimeoutError())
        with pytest.raises(TimeoutError):
            await response.content.readany()
        response.close()
        await asyncio.wait_for(it.upstream.gone.wait(), 10)


# Connections.


@pytest.mark.anyio
@pytest.mark.parametrize("extra", [[], [b"x"], [b"\r\n"], [OK]])
async def test_a_connection_that_closes_or_speaks_while_it_is_idle_is_not_used(extra: list[bytes]) -> None:
    async with asking([OK, Wait(0.05), *extra, Wait(0.05)], OK, close=not extra) as it:
        await it.whole()
        assert len(it.origin.idle) == 1
        await until(lambda: not it.origin.idle)
        assert await it.whole() == b"hello"
        assert it.upstream.connections == 2


@pytest.mark.anyio
async def test_answers_at_once_have_connections_of_their_own_which_are_kept() -> None:
    async with asking([Wait(0.02), OK]) as it:
        for _ in range(2):
            assert await asyncio.gather(*[it.whole() for _ in range(20)]) == [b"hello"] * 20
            assert len(it.origin.idle) == 20
        assert it.upstream.connections == 20


@pytest.mark.anyio
async def test_idle_connections_are_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "IDLE_CONNECTION_SECONDS", 0.05)
    monkeypatch.setattr(clients, "SWEEP_SECONDS", 0.02)
    async with asking(OK) as it:
        await it.whole()
        await until(lambda: not it.client._connections)
        assert it.client._timer is None


@pytest.mark.anyio
@pytest.mark.parametrize("ends", [True, False])
async def test_an_answer_that_is_let_go_of_may_end_by_itself_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr(clients, "LINGER_SECONDS", 10.0 if ends else 0.1)
    monkeypatch.setattr(clients, "SWEEP_SECONDS", 0.02)
    rest = [b"3\r\nrrr\r\n", Wait(0.02), b"0\r\n\r\n"] if ends else [b"3\r\nrrr\r\n", FOREVER]
    async with asking([CHUNKED + b"1\r\na\r\n", Wait(0.02), *rest], OK) as it:
        response = await it.post()
        assert await response.content.readany() == b"a"
        response.let_go(whole=True)
        await until(lambda: bool(it.origin.idle) if ends else not it.client._connections)
        assert not it.client._lingering
        assert await it.whole() == b"hello"
        assert it.upstream.connections == (1 if ends else 2)


@pytest.mark.anyio
async def test_letting_go_of_an_answer_that_has_ended_leaves_its_connections_next_one_alone() -> None:
    async with asking(OK, [Wait(0.05), OK]) as it:
        first = await it.post()
        second = asyncio.ensure_future(it.whole())
        await asyncio.sleep(0.02)
        first.close()
        assert await first.content.readany() == b"hello"
        assert await second == b"hello"
        assert it.upstream.connections == 1


@pytest.mark.anyio
async def test_connections_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 2)
    async with asking([Wait(0.05), OK]) as it:
        found = await asyncio.gather(*[it.whole() for _ in range(3)], return_exceptions=True)
        assert [each for each in found if isinstance(each, bytes)] == [b"hello"] * 2
        assert [(each.status, each.code) for each in found if isinstance(each, Refusal)] == [(503, "overloaded")]
        assert await it.whole() == b"hello"


@pytest.mark.anyio
async def test_closing_fails_whoever_waits() -> None:
    async with asking([FOREVER], [CHUNKED, FOREVER]) as it:
        head = asyncio.ensure_future(it.whole())
        await until(lambda: len(it.upstream.requests) == 1)
        body = asyncio.ensure_future(read(await it.post()))
        await asyncio.sleep(0.02)
        await it.client.close()
        found = await asyncio.gather(head, body, return_exceptions=True)
        assert [each.kind for each in found if isinstance(each, Failure)] == [Kind.UNREACHABLE, Kind.CUT]
        with pytest.raises(Failure):
            await it.whole()


@pytest.mark.anyio
@pytest.mark.usefixtures("lingering")
@pytest.mark.parametrize("script", [[FOREVER], [CHUNKED, FOREVER], [CHUNKED + b"1\r\na\r\n", FOREVER]])
async def test_cancelling_closes_the_connection_at_once(script: Script) -> None:
    async with asking(script) as it:
        task = asyncio.ensure_future(it.whole())
        await until(lambda: bool(it.upstream.requests))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(it.upstream.gone.wait(), 10)
        await until(lambda: not it.client._connections)


@pytest.mark.anyio
async def test_cancelling_a_large_request_closes_the_connection() -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await gone.wait()
        writer.close()

    came, gone = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server, Client() as client:
        origin = client.origin(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        task = asyncio.ensure_future(client.post(origin, "/", {}, b"x" * 30_000_000))
        await came.wait()
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not client._connections)
        gone.set()


@pytest.mark.anyio
async def test_a_caller_that_does_not_read_holds_up_the_upstream() -> None:
    total, step = 32 * 1024 * 1024, 65536
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while written < total:
            writer.write(b"x" * step)
            await writer.drain()
            written += step
        writer.close()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server, Client() as client:
        response = await client.post(
            client.origin(URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")), "/", {}, b""
        )
        await asyncio.sleep(0.3)
        assert written < total
        assert sum(map(len, response.content.parts)) <= 3 * connections.MAX_UNREAD_BYTES
        assert len(await read(response)) == total


# Names and addresses.


@pytest.mark.anyio
async def test_a_refused_connection_is_unreachable_without_its_address() -> None:
    async with asking(OK) as it:
        async with Upstream([OK]) as other:
            origin = it.client.origin(URL(other.url))
        with pytest.raises(Failure) as caught:
            await it.client.post(origin, "/", {}, b"")
    assert (caught.value.kind, caught.value.message) == (Kind.UNREACHABLE, "No connection to Poe came about.")


def look_up(
    monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str], error: Exception | None = None
) -> list[tuple[Any, ...]]:
    """Have names be looked up as told; the list is of what was looked up."""
    asked: list[tuple[Any, ...]] = []

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> list[tuple[Any, ...]]:
        asked.append((host, port))
        if error is not None:
            raise error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.anyio
async def test_all_addresses_of_a_name_are_tried_and_the_good_one_first_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with asking(OK, close=True) as it:
        named = Asking(it.client, it.upstream, "poe.test")
        asked = look_up(monkeypatch, ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
        for _ in range(3):
            assert await named.whole() == b"hello"
            await until(lambda: not it.client._connections)
        assert len(asked) == 1
        assert (await named.origin.addresses())[0] == (socket.AF_INET, "127.0.0.1")
        named.origin._stale_at = 0.0
        assert await named.whole() == b"hello"
        assert len(asked) == 2
        monkeypatch.undo()


@pytest.mark.anyio
@pytest.mark.parametrize("error", [socket.gaierror(-2, "poe.test"), UnicodeError("label too long")])
async def test_a_name_that_is_not_found_is_unreachable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async with asking(OK) as it:
        named = Asking(it.client, it.upstream, "poe.test")
        look_up(monkeypatch, [], error)
        with pytest.raises(Failure) as caught:
            await named.whole()
        monkeypatch.undo()
    assert (caught.value.kind, caught.value.message) == (Kind.UNREACHABLE, "Poe's name could not be looked up.")


@pytest.mark.anyio
async def test_an_address_that_is_dead_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "SOCKET_CONNECT_SECONDS", 0.4)
    async with asking(OK, close=True) as it:
        named = Asking(it.client, it.upstream, "poe.test")
        look_up(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        opened = it.client._open

        async def open_one(origin: clients.Origin, address: tuple[socket.AddressFamily, str]) -> Connection:
            if address[1] == "127.0.0.2":
                await asyncio.sleep(30)
            return await opened(origin, address)

        monkeypatch.setattr(it.client, "_open", open_one)
        assert await named.whole() == b"hello"
        monkeypatch.setattr(clients, "CONNECT_SECONDS", 0.02)
        named.origin.works((socket.AF_INET, "127.0.0.2"))
        await until(lambda: not named.origin.idle)
        with pytest.raises(Failure) as caught:
            await named.whole()
        monkeypatch.undo()
    assert (caught.value.kind, caught.value.message) == (Kind.UNREACHABLE, clients.NOT_IN_TIME)


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not there")
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "made.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=upstream"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [openssl, *options.split(), *names, "-keyout", key, "-out", made], check=True, capture_output=True, timeout=20
    )
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + made.read_bytes())
    return both


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.anyio
async def test_a_verified_upstream_is_asked_in_http_1_and_its_connection_kept(certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    body = b"x" * 3_000_000
    async with asking(OK, tls=server_side(certificate), trusted=trusted) as it:
        assert await it.whole() == b"hello"
        [connection] = it.origin.idle
        tls = connection._transport.get_extra_info("ssl_object") if connection._transport is not None else None
        assert tls is not None
        assert tls.selected_alpn_protocol() == "http/1.1"
        assert await it.whole(body) == b"hello"
        assert it.upstream.requests[1].endswith(body)
        assert it.upstream.connections == 1


@pytest.mark.anyio
async def test_an_upstream_that_cannot_be_verified_is_not_asked(certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    async with asking(OK, tls=server_side(certificate)) as it:
        with pytest.raises(Failure) as unknown:
            await it.whole()
        assert not it.upstream.requests
    async with asking(OK, tls=server_side(certificate), trusted=trusted) as it:
        with pytest.raises(Failure) as misnamed:
            await Asking(it.client, it.upstream, "localhost").whole()
        assert not it.upstream.requests
    for caught in (unknown, misnamed):
        assert caught.value.kind is Kind.UNREACHABLE
        assert caught.value.message == "Poe's certificate could not be verified."


@pytest.mark.anyio
async def test_an_upstream_without_tls_is_no_secure_one() -> None:
    async def answer_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer_plainly, "127.0.0.1", 0) as server, Client() as client:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Failure) as caught:
            await client.post(client.origin(URL(f"https://127.0.0.1:{port}")), "/", {}, b"")
    assert (caught.value.kind, caught.value.message) == (Kind.UNREACHABLE, "No secure connection to Poe came about.")


@pytest.mark.anyio
@pytest.mark.parametrize("after_seconds", [0.0, 0.002, 0.05])
async def test_cancelling_a_handshake_leaves_nothing(after_seconds: float) -> None:
    """Seen from the other side: other tests of this process have sockets of their own."""
    opened: list[int] = []
    closed: list[int] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        try:
            await reader.read(-1)
        finally:
            closed.append(1)
            writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server, Client() as client:
        origin = client.origin(URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        task = asyncio.ensure_future(client.post(origin, "/", {}, b""))
        await asyncio.sleep(after_seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client._connecting == 0
        await asyncio.sleep(0.05)
        await until(lambda: len(opened) == len(closed))


@pytest.mark.anyio
@pytest.mark.usefixtures("lingering")
@pytest.mark.parametrize("script", [[FOREVER], [CHUNKED + b"1\r\na\r\n", FOREVER]])
async def test_cancelling_over_tls_closes_the_connection_at_once(certificate: Path, script: Script) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    async with asking(script, tls=server_side(certificate), trusted=trusted) as it:
        task = asyncio.ensure_future(it.whole())
        await until(lambda: bool(it.upstream.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not it.client._connections)


# Any bytes, cut anywhere.


class FakeTransport(asyncio.Transport):
    """A transport that sends nothing, and is closed when told."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def write(self, data: object) -> None:
        """Throw it away."""

    def pause_reading(self) -> None:
        """Nothing reads."""

    def resume_reading(self) -> None:
        """Nothing reads."""


class FakeKeeper:
    """Notes what became of a connection."""

    def __init__(self) -> None:
        self.kept = False

    def idle(self, connection: Connection) -> None:
        self.kept = True

    def linger(self, connection: Connection) -> None:
        """Nothing lingers."""

    def lost(self, connection: Connection) -> None:
        self.kept = False


Outcome = tuple[int, bytes, Kind | None, bool]


async def outcome(parts: Sequence[bytes], end: Exception | None = None) -> Outcome:
    """What comes of an answer in these parts, after which the peer closes: status, body, failure, and if kept."""
    keeper, transport = FakeKeeper(), FakeTransport()
    connection = Connection(keeper, "", asyncio.get_running_loop())
    connection.connection_made(transport)
    task = asyncio.ensure_future(connection.ask(b"", b""))
    await asyncio.sleep(0)
    for part in parts:
        if part and not transport.closed:
            connection.data_received(part)
    kept = keeper.kept and not transport.closed
    if end is None:
        connection.eof_received()
    connection.connection_lost(end)
    status, body, kind = 0, b"", None
    try:
        async with asyncio.timeout(10):
            response = await task
            status = response.status
            body = await read(response)
    except Failure as failure:
        kind = failure.kind
    assert connection._body is None
    assert transport.closed
    return status, body, kind, kept


@given(st.sampled_from([*[script for script, *_ in WHOLE], CHUNKED + b"5\r\nhello\r\n", OK[:-1]]), st.data())
@settings(max_examples=300, deadline=None)
def test_no_cut_changes_an_answer(script: bytes, data: st.DataObject) -> None:
    cut = pieces(script, data.draw(st.lists(st.integers(0, len(script)), max_size=12)))
    whole, found = asyncio.run(outcome([script])), asyncio.run(outcome(cut))
    # Whether something follows the end is known only when it has come; then the connection is closed, not kept.
    assert found[:3] == whole[:3]


def test_a_body_that_a_reset_ends_is_cut() -> None:
    parts = [b"HTTP/1.1 200 OK\r\n\r\n", b"hell"]
    assert asyncio.run(outcome(parts)) == (200, b"hell", None, False)
    assert asyncio.run(outcome(parts, ConnectionResetError())) == (200, b"", Kind.CUT, False)


def bytewise(script: bytes) -> list[bytes]:
    return [script[i : i + 1] for i in range(len(script))]


@pytest.mark.parametrize("script", [script for script, *_ in WHOLE])
def test_answers_may_come_byte_by_byte(script: bytes) -> None:
    assert asyncio.run(outcome(bytewise(script)))[:3] == asyncio.run(outcome([script]))[:3]


TOKENS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 204 X\r\n", b"HTTP/1.1 999 \r\n", b"\r\n",
        b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n", b"Connection: close\r\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n",
        b"fffffffffffffffff\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n", b"X: y\r\n z\r\n", b"\0", b"\n",
    ]
)  # fmt: skip


@given(st.lists(TOKENS | st.binary(max_size=8), max_size=12))
@example([b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked, gzip\r\n", b"\r\n", b"hello"])
@settings(max_examples=1000, deadline=None)
def test_whatever_an_upstream_says_there_is_an_answer_or_a_failure(parts: list[bytes]) -> None:
    status, _, kind, _ = asyncio.run(outcome(parts))
    assert (status >= 200) != (kind in (Kind.UNREACHABLE, Kind.BROKEN))
    joined = asyncio.run(outcome([b"".join(parts)]))
    assert joined[:3] == (status, *asyncio.run(outcome(parts))[1:3])


def test_a_body_that_nobody_waits_for_can_be_woken() -> None:
    async def look() -> bytes:
        body = Body(asyncio.get_running_loop())
        body.wake()
        body.parts.append(b"a")
        body.end()
        return await body.readany() + await body.readany()

    assert asyncio.run(look()) == b"a"
