"""`POST /v1/chat/completions`, whole and streamed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from service.sandbox.accounts import SandboxAccount
from service.sandbox.answer import CallTool, Rewrite, Say, Show, Think
from service.sandbox.ask import Ask
from service.sandbox.catalogue import find_model
from service.sandbox.chat_request import read_chat_request
from service.sandbox.chat_shapes import Shapes, tool_deltas
from service.sandbox.headers import poe_headers
from service.sandbox.http import (
    BodyTooLarge,
    CallerLeft,
    base_url,
    read_body,
    secret_of,
    send_head,
    send_html_error,
    send_json,
    until_caller_leaves,
)
from service.sandbox.models.model import SandboxModel
from service.sandbox.performance import Garbage, Performance, Step, words
from service.sandbox.poe_errors import Refused, invalid, no_such_model, not_on_this_endpoint, told_status
from service.sandbox.pricing import cost_of
from service.sandbox.staging import stage
from service.sandbox.state import Ending, Sandbox, SandboxCall

ENDPOINT = "/v1/chat/completions"
_GARBAGE = b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"del\n\n'


@dataclass(slots=True)
class _Job:
    """One admitted request."""

    secret: str
    account: SandboxAccount
    ask: Ask
    model: SandboxModel
    performance: Performance
    shapes: Shapes
    base_url: str
    stream: bool
    include_usage: bool
    call: SandboxCall
    visible: str = field(default="", init=False)
    calls: int = field(default=0, init=False)


class ChatEndpoint:
    """The endpoint as an ASGI app."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        secret = secret_of(scope)
        call = self._sandbox.open_call(ENDPOINT, secret)
        try:
            raw = await read_body(receive)
            job = self._admit(scope, secret, raw, call)
        except CallerLeft:
            self._sandbox.end_call(call, "left")
            return
        except BodyTooLarge:
            await self._refuse(send, Refused(413, "Request body too large."), call, None)
            return
        except Refused as refused:
            await self._refuse(send, refused, call, None)
            return
        await until_caller_leaves(receive, self._perform(job, send))
        # Where the answer came to its end this was said before its last byte; else the caller has left.
        self._settle(job, "left")

    def _admit(self, scope: Scope, secret: str, raw: bytes, call: SandboxCall) -> _Job:
        account = self._sandbox.admit(secret)
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise invalid("We could not parse the JSON body of your request.") from None
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise invalid("Missing required parameter: 'model'.")
        self._sandbox.note_body(call, body["model"], body, len(raw))
        model = find_model(body["model"])
        if model is None:
            raise no_such_model(body["model"])
        if not model.on_chat:
            raise not_on_this_endpoint("chat completions")
        ask = read_chat_request(body, model, self._sandbox.files)
        return _Job(
            secret=secret,
            account=account,
            ask=ask,
            model=model,
            performance=stage(self._sandbox, ask, model),
            shapes=Shapes(model, body["model"]),
            base_url=base_url(scope, self._sandbox.public_url),
            stream=body.get("stream") is True,
            include_usage=(body.get("stream_options") or {}).get("include_usage") is True,
            call=call,
        )

    async def _perform(self, job: _Job, send: Send) -> None:
        fault = job.performance.answer.fault
        if fault is not None and fault.verb == "late":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.verb == "html":
            job.call.status = fault.status
            self._sandbox.end_call(job.call, "answered")
            await send_html_error(send, fault.status)
            return
        try:
            if fault is not None and fault.verb == "status":
                raise told_status(fault)
            # An error at the very start of a stream still comes as a status.
            if job.stream and (fault is None or fault.verb != "error" or fault.after > 0):
                await self._stream(job, send)
            else:
                await self._whole(job, send)
        except Refused as refused:
            await self._refuse(send, refused, job.call, job.account)

    async def _whole(self, job: _Job, send: Send) -> None:
        started = self._sandbox.clock()
        calls: list[CallTool] = []
        garbage = False
        async for step in job.performance.steps():
            if isinstance(step, CallTool):
                calls.append(step)
            elif isinstance(step, Garbage):
                garbage = True
            else:
                job.visible = self._shown(job, step)
        thought = job.performance.thought
        finish = None if job.performance.broken == "no-end" else job.performance.answer.finish
        usage = job.shapes.usage(job.ask, self._counted(job), thought)
        body = json.dumps(job.shapes.whole(job.visible, thought, calls, finish, usage), ensure_ascii=False).encode()
        headers = self._headers(job.account, self._sandbox.clock() - started)
        job.call.status = 200
        if garbage:
            body = body[: len(body) // 2] + b"\x00}"
        self._settle(job, "broken" if job.performance.broken else "answered")
        await send_head(send, 200, "application/json", {**headers, "content-length": str(len(body))})
        if job.performance.broken in ("cut", "reset"):
            # Both tear a whole answer in the same way: its length was promised.
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            return
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, job: _Job, send: Send) -> None:
        job.call.status = 200
        await send_head(send, 200, "text/event-stream; charset=utf-8", self._headers(job.account, 0.0))
        async for data in self._events(job):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        self._settle(job, "broken" if job.performance.broken else "answered")
        if job.performance.broken != "reset":
            await send({"type": "http.response.body", "body": b""})

    async def _events(self, job: _Job) -> AsyncGenerator[bytes, None]:
        shapes, performance = job.shapes, job.performance
        yield _event(shapes.chunk({"role": "assistant", "content": ""}))
        if job.ask.tools and not job.model.streams_tools:
            # The silent end of poe.md 8.1: no call, no reason, no error.
            performance.broken = "cut"
            return
        # Text that may still be replaced cannot be streamed; how Poe streams such bots is unknown.
        held = any(isinstance(act, Rewrite) for act in performance.answer.acts)
        try:
            async for step in performance.steps():
                for data in self._step_events(job, step, held=held):
                    yield data
        except Refused as refused:
            performance.broken = "cut"
            yield _error_event(refused)
            return
        if performance.broken in ("cut", "reset"):
            return
        if held:
            yield _event(shapes.chunk({"content": job.visible}))
        yield _event(shapes.chunk({}, performance.answer.finish))
        if job.include_usage:
            yield _event(shapes.usage_chunk(shapes.usage(job.ask, self._counted(job), performance.thought)))
        if performance.broken is None:
            self._settle(job, "answered")
            yield b"data: [DONE]\n\n"

    def _step_events(self, job: _Job, step: Step, *, held: bool) -> Iterator[bytes]:
        if isinstance(step, Garbage):
            yield _GARBAGE
        elif isinstance(step, Think):
            yield _event(job.shapes.chunk(job.shapes.reasoning(step.text)))
        elif isinstance(step, CallTool):
            for delta in tool_deltas(step, job.calls, words(step.arguments)):
                yield _event(job.shapes.chunk(delta))
            job.calls += 1
        else:
            before, job.visible = job.visible, self._shown(job, step)
            if not held and job.visible != before:
                yield _event(job.shapes.chunk({"content": job.visible[len(before) :]}))

    def _shown(self, job: _Job, step: Step) -> str:
        """The visible text after one more step."""
        if isinstance(step, Say):
            return job.visible + step.text
        if isinstance(step, Rewrite):
            return step.text
        if isinstance(step, Show):
            url = self._publish(job, step)
            # Recorded: a Markdown picture, an empty line or two, the bare URL; for sound the URL alone (poe.md 4.4).
            return f"![{step.title}]({url})\n\n\n{url}" if step.title else url
        return job.visible

    def _publish(self, job: _Job, show: Show) -> str:
        stored = self._sandbox.files.add(show.data, content_type=show.content_type, name=show.name)
        return f"{job.base_url}{stored.path}{f'?{show.query}' if show.query else ''}"

    def _counted(self, job: _Job) -> str:
        """The text that usage counts; a bare URL is none (recorded: zero completion tokens for speech)."""
        shows = [act for act in job.performance.answer.acts if isinstance(act, Show)]
        return "" if shows and not shows[0].title else job.visible

    def _settle(self, job: _Job, how: Ending) -> None:
        """Charge and log, once, and before the last byte, so that whoever has the answer finds its cost."""
        if job.call.ended is not None:
            return
        fault = job.performance.answer.fault
        if fault is None or not fault.before_head:
            cost = cost_of(job.ask, job.performance, job.model)
            self._sandbox.charge(job.secret, job.account, job.model.name, cost)
        self._sandbox.end_call(job.call, how)

    async def _refuse(self, send: Send, refused: Refused, call: SandboxCall, account: SandboxAccount | None) -> None:
        call.status = refused.status
        self._sandbox.end_call(call, "answered")
        await send_json(send, refused.status, refused.body, {**self._headers(account, 0.0), **refused.headers})

    def _headers(self, account: SandboxAccount | None, seconds: float) -> dict[str, str]:
        return poe_headers(seconds=seconds, account=account, with_rates=self._sandbox.rate_headers)


def _event(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


def _error_event(refused: Refused) -> bytes:
    """An error after the start (poe.md 4.5)."""
    error = {"type": refused.error["type"], "message": refused.error["message"]}
    return f"event: error\ndata: {json.dumps({'type': 'error', 'error': error})}\n\n".encode()
