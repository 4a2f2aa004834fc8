"""The front: the first and last thing that sees a request. Paths, ids, records, cross-origin headers, errors."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request

from service.api.admission import overloaded, too_slow
from service.api.asgi import App, Message, Receive, Scope, Send
from service.api.cors import Cors
from service.api.mount import BareRoute
from service.api.paths import Paths, is_anthropic, without_prefix
from service.api.render import Headers, new_id, rendered
from service.contract.routes import Operation
from service.errors import Refusal
from service.gateway import Gateway
from service.observe.record import Record

MAX_ID = 128
DIALECTS = {"createChatCompletion": "chat", "listModels": "models", "getModel": "models"}
PROBES = frozenset({"/health", "/ready"})
PAGE_SECONDS = 30.0
"""For all that is no model's answer, errors among it, until the caller has taken it."""
CLIENT_CLOSED_REQUEST = 499
"""The status that the log gives a request whose caller left."""


class Front:
    """Wraps the application; `bare` are the routes that are reached without it, by operation id."""

    def __init__(self, app: App, cors: Cors, bare: Mapping[str, BareRoute]) -> None:
        self._app = app
        self._bare = bare
        self._cors = cors
        self._paths = Paths()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Never raises for what a caller did, and never but for a fault of ours."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, send, self._cors)
        gateway = exchange.gateway
        gateway.open_requests += 1
        try:
            path = exchange.path
            origin = exchange.headers.get(b"origin")
            if origin is not None and self._cors:
                if scope["method"] == "OPTIONS" and await self._preflight(exchange):
                    return
                exchange.cross_origin = self._cors.answer_headers(origin)
            scope["operation"] = self._paths.resolve(scope["method"], path)
            exchange.known(scope["operation"])
            bare = self._bare.get(scope["operation"].id)
            if bare is not None:  # FastAPI's own way to it costs as much as everything that happens there
                await bare.handle(scope, receive, exchange.send)
            else:
                with gateway.deadlines.within(PAGE_SECONDS):
                    await self._app(scope, receive, exchange.send)
            exchange.record.end("ok", exchange.record.status)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except TimeoutError:
            await exchange.refuse(too_slow())
        except asyncio.CancelledError:
            await exchange.cancelled()
        except Exception as error:  # whatever it is, the process goes on
            await exchange.broke(error)
        finally:
            gateway.open_requests -= 1
            del scope["exchange"]  # which holds the way out, which holds the scope: a ring that only the collector ends
            exchange.record.end("cancelled", CLIENT_CLOSED_REQUEST)

    async def _preflight(self, exchange: Exchange) -> bool:
        methods = self._paths.methods(exchange.path)
        headers = self._cors.preflight_headers(exchange.headers, methods) if methods else None
        if headers is None:
            return False
        await exchange.answer(204, headers, b"")
        exchange.record.end("ok", 204)
        return True


class Exchange:
    """One request and what has left of its answer."""

    def __init__(self, scope: Scope, send: Send, cors: Cors) -> None:
        self._send = send
        self._method = scope["method"]
        self._head_left = False
        self._broken = False
        self.gateway: Gateway = scope["state"]["gateway"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.cross_origin: Headers = []
        raw_path = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
        self.path = without_prefix(raw_path)
        self.record = Record(_request_id(self.headers), "", self.path, self.gateway.finished)
        scope["record"] = self.record
        scope["exchange"] = self
        scope["header_map"] = self.headers
        scope["plain_path"] = self.path
        scope["path"] = self.path

    def known(self, operation: Operation) -> None:
        name = operation.id
        self.record.dialect = DIALECTS.get(name) or ("probe" if operation.path in PROBES else "page")

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self._head_left = True
            self.record.status = message["status"]
            headers = message.get("headers") or []
            if not isinstance(headers, list):
                headers = list(headers)
            if not self.record.attempts:  # answers of models bring their own
                headers = [*headers, (b"x-request-id", self.record.id.encode("ascii"))]
            if self.cross_origin:
                headers = [*headers, *self.cross_origin]
            message["headers"] = headers
        elif self._method == "HEAD":
            message["body"] = b""
        await self._send(message)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        if self._head_left:
            return  # what has begun cannot become an error now: the connection ends, which says as much
        self._head_left = True
        self.record.status = status
        told = [*headers, *self.cross_origin]
        with suppress(TimeoutError), self.gateway.deadlines.within(PAGE_SECONDS):
            await self._send({"type": "http.response.start", "status": status, "headers": told})
            await self._send({"type": "http.response.body", "body": b"" if self._method == "HEAD" else body})

    async def refuse(self, refusal: Refusal) -> None:
        """An error in the dialect of the path."""
        anthropic = is_anthropic(self.path, self.headers)
        body, headers = rendered(refusal, self.record.id, anthropic=anthropic)
        self.record.end(refusal.code or refusal.type, self.record.status if self._head_left else refusal.status)
        await self.answer(refusal.status, headers + self._told(), body)

    def _told(self) -> Headers:
        """What an error of a model's answer may say of the attempts behind it."""
        return [(b"x-proxy-attempts", b"%d" % self.record.attempts)] if self.record.attempts else []

    async def cancelled(self) -> None:
        """The caller left, or the process ends: the upstream has been let go by now."""
        if self.gateway.expired and not self._head_left:
            await self.refuse(overloaded("This service is stopping."))
        self.record.end("cancelled", CLIENT_CLOSED_REQUEST)

    async def broke(self, error: Exception) -> None:
        """A fault of ours: told to the log by its place, never by its text, which may hold anything."""
        if self._broken:
            return
        self._broken = True
        frames = traceback.extract_tb(error.__traceback__)
        place = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-4:]]
        self.gateway.log.event("error", "internal error", id=self.record.id, error=type(error).__name__, place=place)
        if not self._head_left:
            message = "This service failed to answer; its log has the details under this request's id."
            await self.refuse(Refusal(500, message, type_="server_error", code="internal_error"))
        else:
            self.record.end("internal_error", 500)


def _request_id(headers: dict[bytes, bytes]) -> str:
    """The caller's, if it is 1 to 128 printable characters of ASCII without blanks; else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and 0 < len(given) <= MAX_ID:
        text = given.decode("latin-1")
        if text.isascii() and text.isprintable() and " " not in text:
            return text
    return new_id()


def handle_refusals(app: FastAPI) -> None:
    """Have what endpoints raise told in the caller's dialect, before the framework finds words of its own."""

    async def refused(request: Request, refusal: Exception) -> Any:
        exchange: Exchange = request.scope["exchange"]
        assert isinstance(refusal, Refusal)
        return _Told(exchange.refuse(refusal))

    async def broke(request: Request, error: Exception) -> Any:
        return _Told(request.scope["exchange"].broke(error))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(Exception, broke)


class _Told:
    """An answer that an exchange gives itself, in the shape of a response."""

    def __init__(self, telling: Coroutine[Any, Any, None]) -> None:
        self._telling = telling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._telling
