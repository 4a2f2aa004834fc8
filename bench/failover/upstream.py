"""The upstream: one listener on loopback that plays each model's fault, and remembers who asked what and when.

A model's name says how it fails. It speaks Poe's chat endpoint and bot protocol; to an OpenAI-compatible gateway it is
an OpenAI-compatible provider.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import orjson

from bench.failover import shapes
from bench.failover.answer import PIECES, left_of
from bench.failover.play import Play, Refused, Wire
from bench.http11 import LAST_CHUNK

CHAT_PATHS = ("/v1/chat/completions", "/chat/completions")
MAX_BODY_BYTES = 1024 * 1024
MAX_CALLS = 1000
"""Of one model that are remembered."""
NO_PREFILL = Refused(400, "invalid_request_error", None, "This model does not support assistant message prefill.")
ASSISTANTS = ("assistant", "bot")


class Model(Protocol):
    """How one model behaves."""

    @property
    def takes_prefill(self) -> bool:
        """Whether it goes on with what a prompt makes it have said."""

    def play(self, number: int, seconds: float) -> Play:
        """What it does with its call `number`, from 1, made `seconds` after the first."""


@dataclass(slots=True)
class Call:
    """One request as the upstream saw it; times are of the monotonic clock. `left_at`: the gateway closed first."""

    at: float
    left_at: float | None = None
    over: bool = False


class Left(Exception):
    """Whoever asked has closed the connection."""


class Upstream:
    """To be entered on the event loop that plays it. `models` by name, lower case."""

    def __init__(self, models: Mapping[str, Model], *, word_seconds: float, port: int = 0) -> None:
        self.port = port
        self._models = models
        self._word_seconds = word_seconds
        self._calls: defaultdict[tuple[str, Wire], list[Call]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Upstream:
        """Listen. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def calls(self, model: str, wire: Wire) -> tuple[Call, ...]:
        """What came for a model on a wire, oldest first."""
        return tuple(self._calls[model, wire])

    def forget(self, model: str, wire: Wire) -> None:
        """Begin anew with a model on a wire."""
        self._calls.pop((model, wire), None)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, Left):
            pass  # whoever asked is gone, or does not speak HTTP
        except asyncio.CancelledError:
            pass  # asyncio's own server would tell standard error of it
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection may be used again."""
        path, body = await _request(reader)
        stage = Stage(reader, writer, self._word_seconds)
        if not body:
            writer.write(self._told(path))
            await writer.drain()
            return True
        asked = orjson.loads(body)
        wire: Wire = "bot" if path.startswith("/bot/") else "chat"
        name = (path.removeprefix("/bot/") if wire == "bot" else str(asked.get("model"))).lower().rpartition("/")[2]
        model = self._models.get(name)
        if path not in CHAT_PATHS and wire == "chat":
            return await stage.refuse(Refused(404, "invalid_request_error", None, "There is nothing here."), wire)
        if model is None:
            unknown = Refused(404, "not_found_error", "model_not_found", f"The model {name} does not exist.")
            return await stage.refuse(unknown, wire)
        calls = self._calls[name, wire]
        call = Call(time.monotonic())
        if len(calls) < MAX_CALLS:
            calls.append(call)
        said = _said(asked.get("query" if wire == "bot" else "messages"))
        if said is not None and not model.takes_prefill:
            return await stage.refuse(NO_PREFILL, wire)
        play = model.play(len(calls), call.at - calls[0].at)
        pieces = PIECES if said is None else left_of(said)
        try:
            return await stage.perform(play, wire, name, pieces)
        except (Left, ConnectionError):
            call.left_at = time.monotonic()
            raise
        finally:
            call.over = True

    def _told(self, path: str) -> bytes:
        """The answer to a GET."""
        if path.startswith("/usage/"):
            return shapes.whole(200, {"current_point_balance": 1_000_000})
        return shapes.catalogue(tuple(self._models))


class Stage:
    """One connection, as long as one answer is played on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word_seconds: float) -> None:
        self._reader = reader
        self._writer = writer
        self._word_seconds = word_seconds

    async def refuse(self, refused: Refused, wire: Wire) -> bool:
        """Refuse; whether the connection may be used again."""
        told, streamed = shapes.refusal(refused, wire)
        await self._write(told + LAST_CHUNK if streamed else told)
        return True

    async def perform(self, play: Play, wire: Wire, model: str, pieces: tuple[str, ...]) -> bool:
        """Play an answer; whether the connection may be used again."""
        if play.reset:
            return self._reset()
        if play.silent_seconds:
            await self._pause(play.silent_seconds)
            return False
        if play.refused is not None:
            return await self.refuse(play.refused, wire)
        await self._write(shapes.STREAM_HEAD)
        await self._pause(play.first_word_seconds)
        await self._write(shapes.start(wire, model))
        for number, piece in enumerate(pieces[: play.cut_after], start=1):
            await self._pause(self._word_seconds)
            event = shapes.broken(wire) if number == play.broken_event else shapes.word(wire, model, piece)
            await self._write(event)
        if play.cut_after is not None:
            await self._pause(play.stall_seconds)
            return False
        await self._write(shapes.end(wire, model, marked=play.marked) + LAST_CHUNK)
        return True

    def _reset(self) -> bool:
        """Break the connection off by RST."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        return False

    async def _pause(self, seconds: float) -> None:
        """Wait, and raise `Left` at once when the other side closes."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if not await self._reader.read(1):
                    raise Left
                raise ValueError("a second request came before the first was answered")

    async def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise Left
        self._writer.write(data)
        await self._writer.drain()


async def _request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Path without its query, and body. Raises IncompleteReadError at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    path = head.split(" ", 2)[1].partition("?")[0]
    fields = dict(line.lower().split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
    if "chunked" in fields.get("transfer-encoding", ""):
        return path, await _chunks(reader)
    size = int(fields.get("content-length", "0"))
    if size > MAX_BODY_BYTES:
        raise ValueError("a body of this size was not asked for")
    return path, await reader.readexactly(size)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A body in chunks, as some gateways send it."""
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("a body of this size was not asked for")
    await reader.readline()
    return body


def _said(messages: Any) -> str | None:
    """What the assistant is made to have said already (a prefill), None where the prompt ends with the user."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") not in ASSISTANTS:
        return None
    return str(last.get("content"))
