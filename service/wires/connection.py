"""One connection of the client: it writes a request, reads the answer to it, and knows whether it may be used again.

Every request waits here, and every chunk of every stream comes through here. So chunks of a body go from the parser
straight into a list, without a call of Python, and whatever can be looked at once a read is not looked at more often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from service.errors import Failure, Kind

MAX_HEAD_BYTES = 64 * 1024
"""Of what an answer may say that is not its body: its head with all interim ones, and trailers."""
MAX_INTERIM_ANSWERS = 16
"""Before the answer itself; one that is on its way says so once or twice."""
MAX_UNREAD_BYTES = 256 * 1024
"""From here on a connection is not read from, until whoever asked has taken what came."""
MAX_TAKEN_BYTES = 64 * 1024
"""Of a body at a time: small events grow on their way, and a caller who does not read lets all of it lie in memory."""
LARGEST_SINGLE_WRITE_BYTES = 256 * 1024
"""A larger body is written piece by piece, each when the one before is gone, so that it lies in memory only once."""

BROKE_OFF = "The connection to Poe broke in the middle of the answer."
BROKE_BEFORE = "The connection to Poe broke before an answer came."
NOT_HTTP = "What Poe answered is not HTTP."


class Keeper(Protocol):
    """Where a connection belongs."""

    def idle(self, connection: Connection, /) -> None:
        """Its answer has ended, and another request may be written to it."""

    def linger(self, connection: Connection, /) -> None:
        """Nobody wants the rest of its answer, which is about to end; it is closed where that takes too long."""

    def lost(self, connection: Connection, /) -> None:
        """It is closed."""


class Body:
    """The body of an answer while it comes. To be read by one task, which limits how long that may take."""

    __slots__ = ("_error", "_loop", "_over", "_waiter", "connection", "parts", "unread_bytes")

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection | None = None) -> None:
        self.connection = connection
        """While the answer has not ended: what is read from."""
        self.parts: list[bytes] = []
        self.unread_bytes = 0
        self._error: Exception | None = None
        self._loop = loop
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    async def readany(self) -> bytes:
        """Whatever has come and nobody has taken, at least a byte; empty at the end.

        Raises what broke it, be it a `Failure` or the error of `set_exception`, before it gives what had come until
        then: that is `unread`.
        """
        while self._error is None:
            if self.parts:
                return self.unread()
            if self._over:
                return b""
            self._waiter = self._loop.create_future()
            await self._waiter
        raise self._error

    def unread(self) -> bytes:
        """What has come and nobody has taken, or the first part of it where it is much."""
        parts, was_paused = self.parts, self.unread_bytes > MAX_UNREAD_BYTES
        if self.unread_bytes > MAX_TAKEN_BYTES:
            data = self._first_part()
        else:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self.unread_bytes = 0
        if was_paused and self.unread_bytes <= MAX_UNREAD_BYTES and self.connection is not None:
            self.connection.resume()
        return data

    def _first_part(self) -> bytes:
        size = count = 0
        for part in self.parts:
            if size + len(part) > MAX_TAKEN_BYTES:
                break
            size += len(part)
            count += 1
        taken, self.parts[:count] = self.parts[:count], []
        if not taken and self.parts:  # one part that is larger than all that is taken at a time
            taken, self.parts[0] = [self.parts[0][:MAX_TAKEN_BYTES]], self.parts[0][MAX_TAKEN_BYTES:]
        data = b"".join(taken)
        # What the framing took beside the parts is forgotten with the last of them.
        self.unread_bytes = self.unread_bytes - len(data) if self.parts else 0
        return data

    def at_eof(self) -> bool:
        """Whether the answer has ended and all of it was taken."""
        return self._over and not self.parts

    def set_exception(self, error: Exception) -> None:
        """Have reading raise an error from now on."""
        self._error = error
        self.wake()

    def end(self) -> None:
        """Nothing comes any more."""
        self._over, self.connection = True, None
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Answer:
    """The head of an answer, and its body. Whoever holds one lets go of it: `let_go`, or `close`.

    `fields` are the lines of the head as they came. Nearly nobody looks at them, so that they are read on demand.
    """

    __slots__ = ("content", "fields", "status")

    def __init__(self, status: int, fields: Sequence[tuple[bytes, bytes]], content: Body) -> None:
        self.status = status
        self.fields = fields
        self.content = content

    def field(self, name: bytes) -> bytes:
        """The first value of a name in lower case, empty where there is none."""
        for each, value in self.fields:
            if each.lower() == name:
                return value
        return b""

    @property
    def headers(self) -> dict[str, str]:
        """The fields by lower-case name; values of the same name are joined by commas."""
        headers: dict[str, str] = {}
        for raw, value in self.fields:
            name = raw.decode("latin-1").lower()
            text = value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        return headers

    def let_go(self, *, whole: bool) -> None:
        """Be done with it. `whole`: it is about to end, so that its connection is worth waiting for a moment."""
        connection = self.content.connection
        if connection is None:
            return
        if whole:
            connection.let_end()
        else:
            connection.abort()

    def close(self) -> None:
        """Be done with it, and with its connection where it has not ended yet."""
        self.let_go(whole=False)


class Connection(asyncio.Protocol):
    """One connection. It listens to the parser of the answer that it waits for; between answers it has none.

    A parser for each answer takes a microsecond, and nothing of one answer can get into the next.
    """

    __slots__ = (
        "_answer",
        "_barren_bytes",
        "_body",
        "_complete",
        "_drained",
        "_failure",
        "_fields",
        "_head",
        "_interim",
        "_interim_count",
        "_keeper",
        "_lingers",
        "_loop",
        "_parser",
        "_reusable",
        "_sent",
        "_transport",
        "_until_end",
        "on_body",
        "origin",
        "since",
    )

    def __init__(self, keeper: Keeper, origin: str, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.since = 0.0
        """When it began to be idle or to linger: for its keeper."""
        self._keeper = keeper
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._drained: asyncio.Future[None] | None = None
        self._body: Body | None = None
        self._answer: Answer | None = None
        self._failure: Failure | None = None

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """Write a request and wait for the head of its answer. Raises `Failure`; the caller limits the time."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Failure(Kind.UNREACHABLE, BROKE_BEFORE)
        self._begin()
        try:
            if len(body) < LARGEST_SINGLE_WRITE_BYTES:
                transport.writelines((head, body))
                self._sent = True
            else:
                await self._write_large(transport, head, body)
            await self._head
        except BaseException:
            self.abort()  # an answer that nobody waits for ends here, and half a request is none
            raise
        if self._failure is not None:
            raise self._failure
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer

    def _begin(self) -> None:
        body = self._body = Body(self._loop, self)
        self.on_body = body.parts.append
        self._parser = HttpResponseParser(self)
        self._head: asyncio.Future[None] = self._loop.create_future()
        self._fields: list[tuple[bytes, bytes]] = []
        self._barren_bytes = self._interim_count = 0
        self._sent = self._complete = self._interim = self._lingers = self._until_end = False
        self._reusable = True

    async def _write_large(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        """Write a body in pieces, until the end or the head of the answer: a refusal may come before all is written."""
        view = memoryview(body)
        transport.write(head)
        for start in range(0, len(body), LARGEST_SINGLE_WRITE_BYTES):
            if self._drained is not None:
                await self._drained
            if self._head.done():
                return
            transport.write(view[start : start + LARGEST_SINGLE_WRITE_BYTES])
        self._sent = True

    def let_end(self) -> None:
        """Nobody takes the rest of this answer, which is about to end."""
        self._lingers = True
        assert self._body is not None
        self._body.unread()
        self._keeper.linger(self)

    def abort(self) -> None:
        """Close it at once, without the farewells of TLS, for which a silent peer may have us wait."""
        if self._transport is not None:
            self._transport.abort()

    def resume(self) -> None:
        """Read from it again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def connection_lost(self, error: Exception | None) -> None:
        """It is closed."""
        if error is None:
            self.eof_received()
        else:
            self._break_off()
        self._transport = None
        self._keeper.lost(self)

    def eof_received(self) -> None:
        """The peer says no more: the end of a body that has no other, else a break."""
        body = self._body
        if body is not None and self._until_end and self._head.done():
            self._complete, self._reusable = True, False
            self._finish(body)
        else:
            self._break_off()

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        body = self._body
        if body is None:
            self.abort()  # nobody has asked anything
            return
        had = len(body.parts)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._reusable = False
            if not self._complete:
                self._break_off(Failure(Kind.BROKEN, NOT_HTTP))
                return
        if self._complete:
            self._finish(body)
        elif len(body.parts) > had and self._head.done():
            self._arrived(body, len(data))
        else:
            self._barren_bytes += len(data)
            if self._barren_bytes > MAX_HEAD_BYTES:
                self._break_off(Failure(Kind.BROKEN, NOT_HTTP))

    def _arrived(self, body: Body, size: int) -> None:
        self._barren_bytes = 0
        if self._lingers:
            body.parts.clear()
            return
        before = body.unread_bytes
        body.unread_bytes = before + size
        if before <= MAX_UNREAD_BYTES < body.unread_bytes and self._transport is not None:
            self._transport.pause_reading()
        body.wake()

    def pause_writing(self) -> None:
        """What was written is not gone yet."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """What was written is nearly gone."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # What the parser tells.

    def on_message_begin(self) -> None:
        """The first byte of an answer, be it an interim one."""
        if self._complete:
            raise ValueError  # an answer to nothing, of which the parser is not to read more

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head, or of a trailer."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of a head."""
        parser, body = self._parser, self._body
        status = parser.get_status_code()
        if 100 <= status < 200 and self._interim_count < MAX_INTERIM_ANSWERS:
            self._interim = True
            self._interim_count += 1
            return
        fields, self._fields = self._fields, []
        if status < 200 or sum([len(name) + len(value) + 4 for name, value in fields]) > MAX_HEAD_BYTES:
            raise ValueError  # which the parser turns into an error of its own
        assert body is not None
        body.parts.clear()
        self._reusable = parser.should_keep_alive()
        self._until_end = _lasts_until_end(status, fields)
        self._answer = Answer(status, fields, body)
        self._wake_asker()

    def on_message_complete(self) -> None:
        """The end of an answer, be it an interim one."""
        if self._interim:
            self._interim = False
            self._fields = []
        else:
            self._complete = True

    # What comes of it.

    def _finish(self, body: Body) -> None:
        paused = body.unread_bytes > MAX_UNREAD_BYTES
        self._body = None
        del self._parser, self.on_body  # each holds the other
        body.end()
        if self._reusable and self._sent and self.usable:
            if paused:
                self.resume()
            self._keeper.idle(self)
        else:
            self.abort()

    def _break_off(self, failure: Failure | None = None) -> None:
        body, self._body = self._body, None
        self.abort()
        if body is None:
            return
        del self._parser, self.on_body
        if self._head.done():
            body.set_exception(Failure(Kind.CUT, BROKE_OFF))
        else:
            self._failure = failure or Failure(Kind.UNREACHABLE, BROKE_BEFORE)
            self._wake_asker()
        body.connection = None

    def _wake_asker(self) -> None:
        if not self._head.done():
            self._head.set_result(None)
        self.resume_writing()


def _lasts_until_end(status: int, fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a body ends with its connection (RFC 9112, 6.3)."""
    if status in (204, 304):
        return False
    values = {name.lower(): value for name, value in fields}  # of several codings the last one counts
    coding = values.get(b"transfer-encoding")
    if coding is not None:
        return coding.rpartition(b",")[2].strip().lower() != b"chunked"
    return b"content-length" not in values
