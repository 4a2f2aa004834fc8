"""The server: uvicorn, with the limits, the departures and the drain that it lacks (architecture: decisions)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import signal
from asyncio import TimerHandle
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server

from service.api.admission import HEAD_TOO_LARGE
from service.api.asgi import Scope
from service.api.render import new_id, rendered
from service.errors import Refusal
from service.gateway import Gateway

KEEPALIVE_SECONDS = 75
"""An idle connection is kept this long, longer than the pools of clients and proxies keep theirs."""
BACKLOG = 2048
POLL_SECONDS = 0.05
SHUTDOWN_SECONDS = 2
"""For connections to close once the drain is over."""
PLAIN_TARGET = re.compile(rb"/(?!/)[!-\"$->@-~]*")
"""A path and nothing else: no query, no fragment, no name of a host."""
REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Protocol(HttpToolsProtocol):
    """One connection. Heads have a size and a time; a caller who leaves cancels the request at once."""

    max_header = 64 * 1024
    read_timeout_seconds = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._deaf = False
        self._head_timer: TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller left: nobody needs the answer that is being made."""
        self._head_arrived()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        cycle, task = self._answered, self._answering  # uvicorn knows the newest request, which may wait behind others
        if cycle is not None and task is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head before the parser sees them: it would keep any number of them."""
        if self._deaf:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes and not self.transport.is_closing():
            if self._head_timer is None:
                self._await_head()
            if self._head_bytes > self.max_header:
                self._overflow()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is here, whole and in time."""
        self._head_arrived()
        # What has come holds the head, so that nearly no head must be measured.
        self._begin(too_large=self._head_bytes > self.max_header and self._head_size() > self.max_header)

    def _head_size(self) -> int:
        return len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])

    def _begin(self, *, too_large: bool) -> None:
        """Start on the request, or have it wait for those before it on this connection."""
        parser, scope = self.parser, cast("Scope", self.scope)
        scope["method"] = parser.get_method().decode("ascii")
        if PLAIN_TARGET.fullmatch(self.url):
            raw_path, query = self.url, b""
        else:
            url = httptools.parse_url(self.url)
            raw_path, query = url.path or b"/", url.query or b""
        scope["raw_path"] = raw_path
        scope["path"] = unquote(raw_path.decode("latin-1")) if b"%" in raw_path else raw_path.decode("latin-1")
        scope["query_string"] = query
        version = parser.get_http_version()
        scope["http_version"] = version
        if too_large:
            scope[HEAD_TOO_LARGE] = True
        waiting: RequestResponseCycle | None = self.cycle
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=cast("asyncio.Event", Signal(self.loop)),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if waiting is None or waiting.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_message_complete(self) -> None:
        """The request is whole; the next one begins with a head."""
        super().on_message_complete()
        if not self.pipeline:  # a long body has paused reading, and who does not read does not see who leaves
            self.flow.resume_reading()
        self._in_head = True
        self._head_bytes = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        self._answering = task = self.loop.create_task(self._answer(cycle, app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _answer(self, cycle: RequestResponseCycle, app: Any) -> None:
        await cycle.run_asgi(app)
        if self.transport.is_closing():
            self._limit_closing()

    def _limit_closing(self) -> None:
        """Closing waits until all is sent, for ever where nobody reads: give it the time of an idle connection."""
        self._unset_keepalive_if_required()
        if self.transport.get_write_buffer_size():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        """An idle connection is closed, and one whose caller has not read what it was sent is cut."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.read_timeout_seconds, self._head_is_late)

    def _head_arrived(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self._in_head and not self.transport.is_closing():
            if self._head_bytes:
                message = "The head of the request did not arrive in time."
                self._refuse(Refusal(408, message, code="request_timeout"))
            else:
                self.transport.close()
                self._limit_closing()

    def _overflow(self) -> None:
        """Answer on what has come of the head, in the order of checks that any request meets, and hear no more."""
        self._deaf = True
        cycle: RequestResponseCycle | None = self.cycle
        if not self.headers or (cycle is not None and not cycle.response_complete):
            message = f"The head of the request is larger than {self.max_header} bytes."
            self._refuse(Refusal(431, message, code="headers_too_large"))
            return
        self._head_arrived()
        self._begin(too_large=True)
        self.cycle.keep_alive = False
        self.cycle.more_body = False

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read, told in JSON like everything else."""
        self._head_arrived()
        self._refuse(Refusal(400, "This is not a valid HTTP request."))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer without the application, and close."""
        self._deaf = True
        body, headers = rendered(refusal, new_id(), anthropic=False)
        lines = [b"HTTP/1.1 %d %b" % (refusal.status, REASONS[refusal.status])]
        lines += [b": ".join(header) for header in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", body]))
        self.transport.close()
        self._limit_closing()


class Cycle(RequestResponseCycle):
    """One answer on its way out. Its head waits for the first part of the body, so that both leave in one write."""

    _head: bytes = b""

    async def send(self, message: Any) -> None:
        """Take one message of the application. The last one returns when the caller has taken nearly all of the answer;
        cancelling it gives up the connection, since nothing can follow a part that was not sent.
        """
        if self.flow.write_paused and not self.disconnected:
            await self._drained(last=message["type"] == "http.response.body" and not message.get("more_body", False))
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        if not self.response_started or self.response_complete:
            raise RuntimeError("a part of a body came where none belongs")
        more = message.get("more_body", False)
        out = self._head + self._framed(message.get("body", b""), more)
        self._head = b""
        if out:
            self.transport.write(out)
        if more:
            return
        if self.flow.write_paused:
            await self._drained(last=True)
        self._complete()

    async def _drained(self, *, last: bool) -> None:
        try:
            await self.flow.drain()
        except asyncio.CancelledError:
            if last:
                self.disconnected = True
                self.transport.abort()
            raise

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self.response_started:
            raise RuntimeError("a second head came")
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [b": ".join(header) for header in (*self.default_headers, *headers)]
        known = dict(headers)
        if b"close" in known.get(b"connection", b""):
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close")
        length = known.get(b"content-length")
        self.chunked_encoding = length is None and self.scope["method"] != "HEAD" and status not in (204, 304)
        if self.chunked_encoding:
            lines.append(b"transfer-encoding: chunked")
        else:
            self.expected_content_length = int(length or 0)
        text = b"\r\n".join(lines)
        if text.count(b"\n") != len(lines) - 1 or text.count(b"\r") != len(lines) - 1 or b"\0" in text:
            raise RuntimeError("a header holds the end of a line")
        self._head = b"%b%b\r\n\r\n" % (STATUS_LINE[status], text)

    def _framed(self, body: bytes, more: bool) -> bytes:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            return b""
        if self.chunked_encoding:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return framed if more else framed + b"0\r\n\r\n"
        self.expected_content_length -= len(body)
        return body

    def _complete(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("the body is not as long as its head says")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class Signal:
    """`asyncio.Event` at a fifth of its price: every request has one, and few ever wait for it."""

    __slots__ = ("_is_set", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_set = False
        self._waiting: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Wake whoever waits, and let nobody wait until `clear`."""
        self._is_set = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Have who comes next wait."""
        self._is_set = False

    async def wait(self) -> bool:
        """Return once it is set."""
        if not self._is_set:
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                self._waiting.remove(waiter)
        return True


class Listener(Server):
    """A server that leaves signals to somebody else."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


def config(app: Any, host: str, port: int, protocol: type[HttpToolsProtocol] = HttpToolsProtocol) -> uvicorn.Config:
    """uvicorn's settings, the same for every listener of the process."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEPALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        backlog=BACKLOG,
    )


class Drain:
    """What a signal sets off: requests under way are finished, new ones are refused, then the server ends.

    After `seconds` what is still open is told so and ended. A second signal ends everything at once.
    """

    def __init__(self, server: Server, gateway: Gateway, seconds: float) -> None:
        self._server = server
        self._gateway = gateway
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Listen for the signals that end a process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.on_signal)

    def on_signal(self) -> None:
        """Begin, or end at once where it has begun."""
        if self._task is not None:
            self._end_streams()
            self._server.should_exit = True
            return
        self._gateway.draining = True
        self._gateway.log.event("info", "draining", open_requests=self._gateway.open_requests)
        self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        await asyncio.sleep(POLL_SECONDS)  # long enough for `/ready` to be seen and for what was just accepted to begin
        while self._gateway.open_requests and loop.time() < deadline:  # noqa: ASYNC110 - requests need set no event
            await asyncio.sleep(POLL_SECONDS)
        if self._gateway.open_requests:
            self._end_streams()
            await asyncio.sleep(POLL_SECONDS)
        self._server.should_exit = True

    def _end_streams(self) -> None:
        """End what is open; each caller is told so."""
        self._gateway.expired = True
        for task in list(self._server.server_state.tasks):
            task.cancel()


def calm_collector() -> None:
    """Start the garbage collector, and keep it from ever walking over what was imported: most of the tail latency was
    that. The little garbage of the imports is kept with it, since a look for it would hold up the first answer.
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)
    gc.enable()
