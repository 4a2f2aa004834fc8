"""A scriptable Poe on loopback: exact bytes for each key, model, wire and nth call, and a memory of every call."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal
from urllib.parse import unquote

import orjson

from tests.wires.upstream import Reset, Wait, answer

Wire = Literal["chat", "bot", "models", "balance", "upload", "unknown"]
End = Literal["finished", "cut", "left"]

FOREVER = Wait(60.0)
"""A silence that only the caller's leaving ends."""
WAIT_SECONDS = 10.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"authorization: *(?:bearer +)?(\S+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_RST_ON_CLOSE = struct.pack("ii", 1, 0)
MODEL_WIRES: tuple[Wire, ...] = ("chat", "bot")


@dataclass(frozen=True, slots=True)
class Fin:
    """The end of a script by closing the connection, whatever the answer still owes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Go on only when the gateway has taken what was written so far (`FaultProxy.barrier`)."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same bytes again and again, until the caller leaves."""

    data: bytes
    pause_seconds: float = 0.0


Step = bytes | Wait | Reset | Fin | Seen | Repeat
Script = Sequence[Step]


@dataclass
class Call:
    """One request that came. `key` is the secret; times are of the monotonic clock; `sent` counts bytes.

    `end` is None while the answer is being made; `left`: the caller closed before it was at its end.
    """

    wire: Wire
    key: str
    model: str
    body: bytes
    number: int
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    end: End | None = None
    sent: int = 0

    @property
    def members(self) -> dict[str, Any]:
        """The body's JSON."""
        members: dict[str, Any] = orjson.loads(self.body)
        return members

    def over(self, end: End) -> None:
        """Keep how it ended; the first word counts."""
        if self.end is None:
            self.ended, self.end = time.monotonic(), end


@dataclass
class Rule:
    """What answers the calls that match all that is given; calls of models, where no wire is. `nth` are their numbers
    among those that match the rest."""

    reply: Callable[[Call], Script]
    wire: Wire | None = None
    key: str | None = None
    model: str | None = None
    nth: Container[int] | None = None
    seen: int = 0

    def takes(self, call: Call) -> bool:
        """Whether it answers this call; to be asked once for each."""
        wires = MODEL_WIRES if self.wire is None else (self.wire,)
        if call.wire not in wires or self.key not in (None, call.key):
            return False
        if self.model not in (None, call.model):
            return False
        self.seen += 1
        return self.nth is None or self.seen in self.nth


def drip(data: bytes, size: int = 1, pause_seconds: float = 0.0) -> list[Step]:
    """The same bytes in writes of `size`, with a pause after each where one is wanted."""
    steps: list[Step] = []
    for at in range(0, len(data), size):
        steps.append(data[at : at + size])
        steps.append(Wait(pause_seconds))
    return steps


class FaultProxy:
    """A server in a thread of its own. The first of `rules` that takes a call answers it, else `otherwise` does.

    Catalogue and balances are answered without a rule: with no catalogue, so that the gateway keeps its snapshot, and
    with a hundred points. `barrier` is what `Seen` waits for.
    """

    def __init__(self, otherwise: Callable[[Call], Script]) -> None:
        self.otherwise = otherwise
        self.rules: list[Rule] = []
        self.calls: list[Call] = []
        self.barrier: Callable[[], Awaitable[object]] | None = None
        self.open_connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._connections: set[_Connection] = set()
        self.url = ""

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        assert self._started.wait(WAIT_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()

    def reset(self, *rules: Rule) -> None:
        """Begin anew with these rules."""
        self.rules, self.calls = list(rules), []

    def asked(self) -> list[Call]:
        """The calls of models so far, in the order in which they came."""
        return [call for call in self.calls if call.wire in MODEL_WIRES]

    def wait(self, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about; {[*map(_short, self.calls)]}"
            time.sleep(0.002)

    def settled(self) -> list[Call]:
        """The calls of models once all of them have ended."""
        self.wait(lambda: all(call.end for call in self.asked()))
        return self.asked()

    def script_for(self, call: Call) -> Script:
        """What answers a call."""
        self.calls.append(call)
        for rule in self.rules:
            if rule.takes(call):
                return rule.reply(call)
        if call.wire == "balance":
            return [answer("200 OK", b'{"current_point_balance":100}')]
        if call.wire in MODEL_WIRES:
            return self.otherwise(call)
        return [answer("404 Not Found", b"{}")]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._connections):
            connection.drop()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def opened(self, connection: _Connection) -> None:
        """Count a connection."""
        self._connections.add(connection)
        self.open_connections = len(self._connections)

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self.open_connections = len(self._connections)


def _short(call: Call) -> tuple[object, ...]:
    return call.wire, call.key, call.end, call.sent


class _Connection(asyncio.Protocol):
    """One connection: a request, its script, and the next request where the script left the connection open."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._buffer = b""
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._proxy.closed(self)
        if self._call is not None:
            self._call.over("left")
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._begin()

    def drop(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def _begin(self) -> None:
        found = None if self._task is not None else self._request()
        if found is not None:
            self._call = call = found
            self._task = asyncio.ensure_future(self._play(call, self._proxy.script_for(call)))

    def _request(self) -> Call | None:
        """The request that has come, if all of it has."""
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return None
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if _CHUNKED.search(head):
            size = rest.find(b"0\r\n\r\n") + 5
            if size < 5:
                return None
        if len(rest) < size:
            return None
        body, self._buffer = rest[:size], rest[size:]
        return self._call_of(head, body)

    def _call_of(self, head: bytes, body: bytes) -> Call:
        path = head.split(b" ", 2)[1].decode()
        key = _KEY.search(head)
        wire, model = _asked(path, body)
        number = 1 + sum(call.wire == wire for call in self._proxy.calls)
        return Call(wire, key[1].decode() if key else "", model, body, number)

    async def _play(self, call: Call, script: Script) -> None:
        with suppress(asyncio.CancelledError):
            for step in script:
                await self._step(call, step)
                if self._transport.is_closing():
                    call.over("left")
                    break
            else:
                call.over("finished")
            self._task = self._call = None
            self._begin()

    async def _step(self, call: Call, step: Step) -> None:
        match step:
            case Wait():
                await asyncio.sleep(step.seconds)
            case Reset():
                call.over("cut")
                await asyncio.sleep(0)
                # Without this a closed socket says FIN, as one does that has nothing left to say.
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
                self._transport.abort()
            case Fin():
                call.over("cut")
                self._transport.close()
            case Seen():
                if self._proxy.barrier is not None:
                    await self._proxy.barrier()
            case Repeat():
                while True:
                    await self._write(call, step.data)
                    await asyncio.sleep(step.pause_seconds)
            case _:
                await self._write(call, step)

    async def _write(self, call: Call, data: bytes) -> None:
        await self._writable.wait()
        self._transport.write(data)
        call.sent += len(data)


def _asked(path: str, body: bytes) -> tuple[Wire, str]:
    """Which of Poe's doors a request knocks on, and the model behind it."""
    if path.startswith("/bot/"):
        return "bot", unquote(path.removeprefix("/bot/"))
    if path == "/v1/chat/completions":
        return "chat", str(orjson.loads(body).get("model"))
    if path.startswith("/poe_api/"):
        return "upload", ""
    wires: dict[str, Wire] = {"/v1/models": "models", "/usage/current_balance": "balance"}
    return wires.get(path, "unknown"), ""
