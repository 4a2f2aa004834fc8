"""A scripted upstream on loopback: it gives exact bytes, cut and paced as told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause in a script, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause in a script, until the event."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Reset:
    """The end of a script by a TCP reset."""


Step = bytes | Wait | Hold | Reset
Script = bytes | Sequence[Step]


def event_stream(
    *chunks: bytes | Wait | Reset, status: str = "200 OK", headers: str = "", end: bool = True
) -> list[Step]:
    """Server-sent events, chunked; each of `chunks` is one chunk and one write. `end`: the body ends properly."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
    steps: list[Step] = [head.encode()]
    steps += [b"%x\r\n%b\r\n" % (len(chunk), chunk) if isinstance(chunk, bytes) else chunk for chunk in chunks]
    if end:
        steps.append(b"0\r\n\r\n")
    return steps


def answer(status: str, body: bytes, content_type: str = "application/json", headers: str = "") -> bytes:
    """A whole answer with a length."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
        + body
    )


class Upstream:
    """Answers the nth request with the nth script, and later ones with the last.

    `close`: the connection is closed after each answer. `requests` holds what came, head and body, `gone` is set when a
    caller went away while a script still ran, and `connections` counts.
    """

    def __init__(self, scripts: Sequence[Script], *, close: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._close = close
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()
        self.connections = 0

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The base URL."""
        assert self._server is not None
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def script_for(self, request: bytes) -> Script:
        """The script that answers the request that came last."""
        return self._scripts[min(len(self.requests), len(self._scripts)) - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        self.requests.append(head + await reader.readexactly(int(length[1]) if length else 0))
        script = self.script_for(self.requests[-1])
        steps = [script] if isinstance(script, bytes) else script
        watch = asyncio.ensure_future(self._watch(reader))
        try:
            for step in steps:
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Hold):
                    await step.event.wait()
                elif isinstance(step, Reset):
                    writer.transport.abort()
                    return False
                else:
                    writer.write(step)
                    await writer.drain()
            if not self._close:
                # What a script leaves unsaid keeps the caller waiting: the connection stays open until it goes.
                watch.cancel()
                return True
        finally:
            watch.cancel()
        return False

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        while not reader.at_eof():  # noqa: ASYNC110 - a reader tells its end only to who reads from it
            await asyncio.sleep(0.005)
        self.gone.set()
