"""What stands before the bots: keys, names, and the faults that only HTTP can show.

The bots behind it run on fastapi_poe's own server half: their protocol is the library's and not our idea of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.sandbox.accounts import SandboxAccount
from service.sandbox.ask import Ask
from service.sandbox.catalogue import find_model
from service.sandbox.fault import Fault
from service.sandbox.http import (
    BodyTooLarge,
    CallerLeft,
    base_url,
    read_body,
    secret_of,
    send_html_error,
    send_json,
)
from service.sandbox.models.model import SandboxModel
from service.sandbox.performance import Performance
from service.sandbox.poe_errors import Refused, documented, invalid, no_such_model, told_status
from service.sandbox.pricing import cost_of
from service.sandbox.query_request import read_query
from service.sandbox.staging import stage
from service.sandbox.state import Ending, Sandbox, SandboxCall

PREFIX = "/bot/"
SCOPE_KEY = "sandbox.appearance"
"""Where in the ASGI scope the bot finds its `Appearance`."""


@dataclass(frozen=True, slots=True)
class Part:
    """What an admitted query is about."""

    account: SandboxAccount
    model: SandboxModel
    ask: Ask
    performance: Performance

    @property
    def fault(self) -> Fault | None:
        """The fault of its answer."""
        return self.performance.answer.fault


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a bot has to do in one query: play its part, or refuse."""

    name: str
    base_url: str
    part: Part | Refused


class BotDoor:
    """ASGI middleware; everything but queries to bots passes through."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        call = self._sandbox.open_call(PREFIX, secret_of(scope))
        try:
            raw = await read_body(receive)
        except CallerLeft:
            self._sandbox.end_call(call, "left")
            return
        except BodyTooLarge:
            call.status = 413
            await send_json(send, 413, {"error": documented(413, "Request body too large.")})
            self._sandbox.end_call(call, "answered")
            return
        line = _Line(raw, receive, send, call)
        try:
            await self._answer(scope, raw, call, line)
        except ValueError:
            # Not JSON, or no query by the library's types. Poe's own answer to that is unknown.
            if not line.started:
                await send_json(line.send, 400, invalid("Invalid query.").body)
        line.end("answered")

    async def _answer(self, scope: Scope, raw: bytes, call: SandboxCall, line: _Line) -> None:
        line.on_end = partial(self._sandbox.end_call, call)
        body = json.loads(raw)
        if not isinstance(body, dict):
            raise ValueError("a query is an object")
        name = scope["path"][len(PREFIX) :]
        self._sandbox.note_body(call, name, body, len(raw))
        if not call.key or body.get("type") != "query":
            await self._app(scope, line.receive, line.send)
            return
        try:
            part: Part | Refused = self._part(name, call.key, body)
        except Refused as refused:
            part = refused
        if isinstance(part, Part):
            if part.fault is not None and await _fails_in_http(part.fault, line.send):
                return
            line.performance = part.performance
            line.on_end = partial(self._settle, call, part)
        elif self._sandbox.bot_failures == "status":
            await send_json(line.send, part.status, part.body, part.headers)
            return
        appearance = Appearance(name, base_url(scope, self._sandbox.public_url), part)
        await self._app({**scope, SCOPE_KEY: appearance}, line.receive, line.send)

    def _part(self, name: str, secret: str, body: Mapping[str, Any]) -> Part:
        account = self._sandbox.admit(secret)
        model = find_model(name)
        if model is None:
            raise no_such_model(name)
        ask = read_query(body, self._sandbox.files)
        return Part(account, model, ask, stage(self._sandbox, ask, model))

    def _settle(self, call: SandboxCall, part: Part, how: Ending) -> None:
        self._sandbox.charge(call.key, part.account, part.model.name, cost_of(part.ask, part.performance, part.model))
        self._sandbox.end_call(call, how)


async def _fails_in_http(fault: Fault, send: Send) -> bool:
    if fault.verb == "late":
        await asyncio.sleep(fault.seconds)
    elif fault.verb == "html":
        await send_html_error(send, fault.status)
        return True
    elif fault.verb == "status":
        told = told_status(fault)
        await send_json(send, told.status, told.body, told.headers)
        return True
    return False


class _Line:
    """The connection of one query: gives the read body once more, and breaks off where the performance says so.

    `on_end` is called once: before the last bytes leave, so that whoever has the answer finds its cost, or when the
    caller has left.
    """

    def __init__(self, raw: bytes, receive: Receive, send: Send, call: SandboxCall) -> None:
        self.performance: Performance | None = None
        self.on_end: Callable[[Ending], None] | None = None
        self.started = False
        self._raw: bytes | None = raw
        self._receive = receive
        self._send = send
        self._call = call

    def end(self, how: Ending) -> None:
        """Say how it ended; only the first word counts."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(how)

    async def receive(self) -> Message:
        if self._raw is not None:
            body, self._raw = self._raw, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.end("left")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._call.status = message["status"]
        broken = self.performance.broken if self.performance is not None else None
        done = message.get("body", b"").startswith(b"event: done")
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if done or last:
            self.end("broken" if broken else "answered")
        # The library always says `done`; a cut answer must not have it, and a reset one not even its last bytes.
        if (broken and done) or (broken == "reset" and last):
            return
        await self._send(message)
