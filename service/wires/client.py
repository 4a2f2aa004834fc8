"""The HTTP/1.1 client of the two hot requests: POST, kept connections, and nothing that they have no use for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType

from yarl import URL

from service.errors import Failure, Kind, Refusal
from service.wires.connection import Answer, Connection

MAX_CONNECTIONS = 4096
"""Connections of the process, to all upstreams together: above MAX_STREAMS, so that the door is the limit."""
CONNECT_SECONDS = 10.0
"""For a connection to be ours: name lookup, handshakes and all."""
SOCKET_CONNECT_SECONDS = 5.0
"""For one address of a name, so that a dead one leaves time for the next."""
IDLE_CONNECTION_SECONDS = 30.0
DNS_CACHE_SECONDS = 60
LINGER_SECONDS = 2.0
"""What an upstream has, after its last event, to end the body; then the connection is closed instead of kept."""
MAX_HEADS = 1024
SWEEP_SECONDS = 1.0
"""How exactly the last two are kept: one timer looks after all connections."""
CLOSE_SECONDS = 1.0
"""For closed connections to be gone."""

FULL = "Too many connections to Poe are open."
NOT_IN_TIME = "No connection to Poe came about in time."
NO_SUCH_HEADER = "A request cannot be written: something in its head is no part of a head."

CONNECT_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, NOT_IN_TIME),
    (ssl.SSLCertVerificationError, "Poe's certificate could not be verified."),
    (ssl.SSLError, "No secure connection to Poe came about."),
    (socket.gaierror, "Poe's name could not be looked up."),
    (UnicodeError, "Poe's name could not be looked up."),
    (OSError, "No connection to Poe came about."),
)
"""What keeps a connection from coming about; the first whose class fits."""

_Address = tuple[socket.AddressFamily, str]


class Origin:
    """A scheme, host and port: where requests go, and the connections to it that wait for one."""

    def __init__(self, url: URL, context: ssl.SSLContext | None) -> None:
        self.name = str(url.origin())
        self.host = url.raw_host or ""
        self.port = url.port or 0
        self.authority = url.host_port_subcomponent or ""
        self.context = context
        self.idle: dict[Connection, None] = {}
        """The one that came last is taken first, so that the others may grow old."""
        self.heads: dict[tuple[object, ...], bytes] = {}
        """The beginnings of requests, as they go on the wire."""
        self._looking_up = asyncio.Lock()
        self._addresses: list[_Address] = []
        self._good: _Address | None = None
        self._stale_at = 0.0

    async def addresses(self) -> list[_Address]:
        """The addresses of the host, the one that worked last first. Raises OSError or UnicodeError."""
        loop = asyncio.get_running_loop()
        async with self._looking_up:
            if loop.time() >= self._stale_at:
                found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
                self._addresses = list(dict.fromkeys([(family, str(where[0])) for family, _, _, _, where in found]))
                self._stale_at = loop.time() + DNS_CACHE_SECONDS
        return sorted(self._addresses, key=lambda address: address != self._good)

    def works(self, address: _Address) -> None:
        """Try this one first from now on."""
        self._good = address


class Client:
    """Connections to a few origins. To be used from one event loop, and closed."""

    def __init__(self, *, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted`: whom to trust instead of the authorities of the system."""
        self._loop = asyncio.get_running_loop()
        self._context = trusted
        self._origins: dict[str, Origin] = {}
        self._connections: set[Connection] = set()
        self._lingering: dict[Connection, None] = {}
        self._connecting = 0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._all_lost: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def origin(self, url: URL) -> Origin:
        """Where requests for this URL go; the same for all URLs of one scheme, host and port."""
        name = str(url.origin())
        if name not in self._origins:
            self._origins[name] = Origin(url, self._secure() if url.scheme == "https" else None)
        return self._origins[name]

    def _secure(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    async def post(self, origin: Origin, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The head of the answer, whatever its status; redirects are not followed. Raises `Failure` when none came, and
        `Refusal` 503 where too many connections are open.

        `target` is a path as it goes on the wire. Nothing is asked twice: that a connection broke does not tell whether
        the request was answered, and the gateway knows better whether to try again. The caller limits the time.
        """
        head = _head(origin, target, headers, len(body))
        while origin.idle:
            connection, _ = origin.idle.popitem()
            if connection.usable:
                break
        else:
            connection = await self._connect(origin)
        return await connection.ask(head, body)

    async def _connect(self, origin: Origin) -> Connection:
        if len(self._connections) + self._connecting >= MAX_CONNECTIONS:
            # Not a failure of anybody's but ours: no other key can help, and no model is to rest for it.
            raise Refusal(503, FULL, type_="server_error", code="overloaded", retry_after=1, should_retry=True)
        self._connecting += 1
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._connect_to_one(origin)
        except (OSError, UnicodeError) as error:
            message = next(message for kind, message in CONNECT_MEANINGS if isinstance(error, kind))
            raise Failure(Kind.UNREACHABLE, message) from error
        finally:
            self._connecting -= 1
        if connection.usable:
            self._connections.add(connection)
        if self._closed:
            connection.abort()
        return connection

    async def _connect_to_one(self, origin: Origin) -> Connection:
        """A connection to the first address that gives one; else the error of the last."""
        error: OSError = socket.gaierror()
        for address in await origin.addresses():
            try:
                async with asyncio.timeout(SOCKET_CONNECT_SECONDS):
                    connection = await self._open(origin, address)
            except OSError as failed:
                error = failed
            else:
                origin.works(address)
                return connection
        raise error

    async def _open(self, origin: Origin, address: _Address) -> Connection:
        family, host = address
        _, connection = await self._loop.create_connection(
            lambda: Connection(self, origin.name, self._loop),
            host,
            origin.port,
            family=family,
            ssl=origin.context,
            server_hostname=origin.host if origin.context is not None else None,
        )
        return connection

    def idle(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._lingering.pop(connection, None)
        connection.since = self._loop.time()
        self._origins[connection.origin].idle[connection] = None
        self._watch()

    def linger(self, connection: Connection) -> None:
        """Give an answer some time to end, and have its connection then."""
        connection.since = self._loop.time()
        self._lingering[connection] = None
        self._watch()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._lingering.pop(connection, None)
        self._origins[connection.origin].idle.pop(connection, None)
        if not self._connections and self._all_lost is not None and not self._all_lost.done():
            self._all_lost.set_result(None)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        _close_older(self._lingering, now - LINGER_SECONDS)
        for origin in self._origins.values():
            _close_older(origin.idle, now - IDLE_CONNECTION_SECONDS)
        if self._lingering or any([origin.idle for origin in self._origins.values()]):
            self._watch()

    async def close(self) -> None:
        """Close all connections; whoever waits for an answer on one gets a `Failure`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._connections:
            connection.abort()
        if self._connections:
            self._all_lost = self._loop.create_future()
            await asyncio.wait([self._all_lost], timeout=CLOSE_SECONDS)


def _close_older(connections: dict[Connection, None], than: float) -> None:
    """Close those that have been there for longer; the eldest come first."""
    while connections:
        eldest = next(iter(connections))
        if eldest.since > than:
            return
        del connections[eldest]
        eldest.abort()


def _head(origin: Origin, target: str, headers: Mapping[str, str], size: int) -> bytes:
    """A head, of which all but the size is made once for each key and model."""
    wanted = (target, *headers.items())
    known = origin.heads.get(wanted)
    if known is None:
        if len(origin.heads) >= MAX_HEADS:
            origin.heads.clear()
        known = origin.heads[wanted] = _head_without_size(origin, target, headers)
    return b"%bContent-Length: %d\r\n\r\n" % (known, size)


def _head_without_size(origin: Origin, target: str, headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    # One look at all of it: there are as many lines as there are fields, and nothing else that is not print.
    if lines.count("\r\n") != len(headers) or not _is_print(lines.replace("\r\n", "")) or not _is_target(target):
        raise ValueError(NO_SUCH_HEADER)
    # Compression would hold back the events of a stream until a block of it is full.
    return (
        f"POST {target} HTTP/1.1\r\nHost: {origin.authority}\r\nAccept-Encoding: identity\r\nUser-Agent: poe-proxy\r\n"
        f"{lines}"
    ).encode("ascii")


def _is_target(target: str) -> bool:
    return target.startswith("/") and _is_print(target) and " " not in target


def _is_print(text: str) -> bool:
    return text.isascii() and text.isprintable()
