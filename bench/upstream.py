"""The upstream that every contestant calls: Poe's chat endpoint and bot protocol, answered at once from ready bytes.

It runs as a process of its own on the core of the load. The events of the hundred-event stream leave together, those
of the paced one by the clock. It reads every request whole, and answers 400 to a conversation that is not word for
word the one that was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import cast

import orjson
import uvloop

from bench import cases, replies
from bench.http11 import Reader
from bench.replies import Paced, Reply

EVENTS_PER_SECOND = 20
FALTERS_EVERY = 7
"""Calls of the faltering model to one that fails: few enough for the gateway's retry budget."""
LONGEST_QUESTION_BYTES = 2000
KNOWN_BODIES = 64
"""Bodies that were read and found right are known by their bytes, so that only the first of a kind is parsed."""


PIECES = {
    cases.SHORT_MODEL: cases.SHORT_PIECES,
    cases.FALTERING_MODEL: cases.SHORT_PIECES,
    cases.HUNDRED_MODEL: cases.HUNDRED_PIECES,
}


class Answers:
    """The reply to each request, made once for each kind and then known by the request's bytes."""

    def __init__(self, paced_events: int, *, corrupt: bool) -> None:
        self._paced_events = paced_events
        self._corrupt = corrupt
        self._catalogue = replies.catalogue()
        self._balance = replies.whole(b"200 OK", b'{"current_point_balance":1000000}')
        self._known: dict[tuple[bytes, int], tuple[bytes, Reply]] = {}
        self._faltered = 0

    def reply(self, path: bytes, body: bytes) -> Reply:
        """The answer to one request; `path` as on the request line, without a query."""
        if self._falters(path, body):
            return replies.failure()
        known = self._known.get((path, len(body)))
        if known is not None and known[0] == body:
            return known[1]
        if not body:
            return self._balance if path.startswith(b"/usage/") else self._catalogue
        reply = self._judged(path.decode(), body)
        if len(self._known) >= KNOWN_BODIES:
            self._known.clear()
        self._known[path, len(body)] = (body, reply)
        return reply

    def _falters(self, path: bytes, body: bytes) -> bool:
        name = cases.FALTERING_MODEL.encode()
        if len(body) > LONGEST_QUESTION_BYTES or (name not in body.lower() and name not in path.lower()):
            return False
        self._faltered += 1
        return self._faltered % FALTERS_EVERY == 0

    def _judged(self, path: str, body: bytes) -> Reply:
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return replies.refusal("the request is not JSON")
        on_bot = path.startswith("/bot/")
        if not cases.arrived_whole(request.get("query" if on_bot else "messages")):
            return replies.refusal("the conversation did not arrive word for word")
        if on_bot:
            return self._spoilt(self._bot(path.removeprefix("/bot/").lower()))
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
        return self._spoilt(self._chat(str(request.get("model")), bool(request.get("stream")), usage=usage))

    def _chat(self, model: str, stream: bool, *, usage: bool) -> Reply:
        name = model.lower().rpartition("/")[2]
        pieces = PIECES.get(name)
        if name == cases.PACED_MODEL and stream:
            return replies.chat_paced(model, self._paced_events, usage=usage)
        if pieces is None:
            return replies.refusal(f"no such model: {model}")
        return replies.chat_stream(model, pieces, usage=usage) if stream else replies.chat_whole(model, "".join(pieces))

    def _bot(self, name: str) -> Reply:
        if name == cases.PACED_MODEL:
            return replies.bot_paced(self._paced_events)
        pieces = PIECES.get(name)
        return replies.refusal(f"no such bot: {name}") if pieces is None else replies.bot_stream(pieces)

    def _spoilt(self, reply: Reply) -> Reply:
        """With `corrupt`, the same answer with one letter changed."""
        if not self._corrupt or isinstance(reply, Paced):
            return reply
        return reply.replace(b"The gate keeps", b"The gaze keeps", 1)


class Connection(asyncio.Protocol):
    """One connection of a caller."""

    __slots__ = ("_answers", "_loop", "_reader", "_transport")

    def __init__(self, answers: Answers, loop: asyncio.AbstractEventLoop) -> None:
        self._answers = answers
        self._loop = loop
        self._reader = Reader()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        if not reader.complete or self._transport is None:
            return
        head, body = reader.head, reader.body()
        path = head.split(b" ", 2)[1].split(b"?", 1)[0]
        reader.reset()
        reply = self._answers.reply(path, body)
        if isinstance(reply, Paced):
            self._transport.write(reply.head)
            first = self._loop.time() + 1 / EVENTS_PER_SECOND
            self._loop.call_at(first, self._send_event, reply, 0, first)
        else:
            self._transport.write(reply)
            if not body and b"\r\nconnection: close" in head:
                self._transport.close()

    def _send_event(self, stream: Paced, number: int, due: float) -> None:
        if self._transport is None:
            return
        if number == stream.events:
            self._transport.write(stream.end)
            return
        stamp = cases.STAMP_FORMAT % (number, time.monotonic_ns() // 1000)
        self._transport.write(b"%b%b%b" % (stream.prefix, stamp.encode(), stream.suffix))
        due += 1 / EVENTS_PER_SECOND
        self._loop.call_at(due, self._send_event, stream, number + 1, due)


async def serve(port: int, paced_events: int, *, corrupt: bool) -> None:
    """Serves on loopback until the process ends."""
    loop = asyncio.get_running_loop()
    answers = Answers(paced_events, corrupt=corrupt)
    make: Callable[[], Connection] = partial(Connection, answers, loop)
    server = await loop.create_server(make, "127.0.0.1", port, backlog=2048)
    gc.collect()
    gc.freeze()
    gc.disable()
    await server.serve_forever()


def main() -> None:
    """Serves as told on the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.upstream", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--paced-events", type=int, default=200, help="events of a paced stream")
    parser.add_argument("--corrupt", action="store_true", help="change a letter of every answer")
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.paced_events, corrupt=options.corrupt))


if __name__ == "__main__":
    main()
