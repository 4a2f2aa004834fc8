"""POST /chat/completions: the hot path, raw bytes in and raw bytes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import replace
from random import getrandbits
from typing import TypeVar

from service.api.admission import Body, late_body, overloaded, too_slow
from service.api.asgi import Receive, Scope, Send
from service.api.headers import told
from service.api.pacer import Pacer
from service.api.render import Headers
from service.api.session import session_of
from service.api.validation import parse
from service.contract.models import ChatCompletionRequest
from service.deadline import Deadline
from service.dialects.chat.decode import decode
from service.dialects.chat.encode import KEEPALIVE, StreamEncoder, WholeEncoder
from service.dialects.chat.options import Options
from service.errors import Refusal
from service.events import Event, Finish
from service.gateway import NO_WISHES, Gateway, Wishes
from service.observe.record import Record
from service.routing.route import WireName
from service.settings import RECOVERIES

WIRES: tuple[WireName, ...] = ("bot", "chat")
INTERNAL = Refusal(500, "This service failed in the middle of its answer.", type_="server_error", code="internal_error")
LAST_WORDS_SECONDS = 2.0
"""For telling a caller that the time of its stream is over: who does not read is not waited for."""
Answer = AsyncGenerator[list[Event], None]
Word = TypeVar("Word", bound=str)


async def create_chat_completion(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, whole or streamed."""
    gateway: Gateway = scope["state"]["gateway"]
    record: Record = scope["record"]
    body = Body(gateway)
    try:
        with gateway.deadlines.within(gateway.settings.read_timeout) as deadline:
            raw = await body.read(scope["header_map"], receive)
            deadline.begin_anew(gateway.settings.total_timeout)
            request = parse(ChatCompletionRequest, raw)
            prompt, options = decode(request)
            if gateway.settings.key_strategy == "sticky":
                session = session_of(scope["header_map"], request, prompt, record.tenant)
                prompt = replace(prompt, session=session)
            del raw, request
            record.model = prompt.model
            record.stream = prompt.stream
            for name in options.ignored:
                record.drop(name)
            if gateway.sandboxed:
                record.notice("sandbox")
            answer = gateway.answer(prompt, record, _wishes(scope["header_map"]))
            if prompt.stream:
                await _streamed(answer, options, gateway, record, send, deadline)
            else:
                await _whole(answer, options, record, send)
    except TimeoutError:
        raise (too_slow() if body.arrived else late_body()) from None
    finally:
        body.release()


def _wishes(headers: Mapping[bytes, bytes]) -> Wishes:
    """What the headers of a request ask of the gateway."""
    wire, recovery = headers.get(b"x-proxy-wire"), headers.get(b"x-proxy-recovery")
    if wire is None and recovery is None:
        return NO_WISHES
    return Wishes(_word(wire, WIRES, "x-proxy-wire"), _word(recovery, RECOVERIES, "x-proxy-recovery"))


def _word(value: bytes | None, words: tuple[Word, ...], name: str) -> Word | None:
    """The one of the words that a header's value is; None where there is no such header."""
    if value is None:
        return None
    text = value.decode("latin-1")
    for word in words:
        if text == word:
            return word
    raise Refusal(400, f"{name} must be one of {', '.join(words)}.", param=name)


async def _whole(answer: Answer, options: Options, record: Record, send: Send) -> None:
    encoder = WholeEncoder(options)
    try:
        async for events in answer:
            encoder.feed(events)
    finally:
        await answer.aclose()
    body = encoder.body(_answer_id(), record.answer_model, int(time.time()))
    headers = told(record)
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    _note_finish(record, encoder.finish)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
    record.end("ok", 200)


async def _streamed(
    answer: Answer, options: Options, gateway: Gateway, record: Record, send: Send, deadline: Deadline
) -> None:
    def head() -> Headers:
        return [*told(record), (b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache, no-transform")]

    settings = gateway.settings
    encoder: StreamEncoder | None = None
    pacer = Pacer(send, head, KEEPALIVE, head_seconds=settings.head_deadline, keepalive_seconds=settings.keepalive)
    try:
        async with aclosing(answer):
            async for events in answer:
                if encoder is None:
                    encoder = StreamEncoder(_answer_id(), record.answer_model, int(time.time()), options)
                finish = events[-1] if type(events[-1]) is Finish else None
                data = encoder.feed(events)
                if finish is not None:
                    _note_finish(record, finish)
                    await pacer.write(data, last=True)
                    record.end("ok", 200)
                elif data:
                    await pacer.write(data)
    except BaseException as problem:
        refusal = _told_in_band(problem, gateway, deadline)
        if refusal is None or not pacer.started:
            raise
        try:
            # The one cancellation of the request's deadline is spent where that is the problem.
            limited = isinstance(problem, asyncio.CancelledError)
            with gateway.deadlines.within(LAST_WORDS_SECONDS) if limited else nullcontext():
                await pacer.write(StreamEncoder.fail(refusal), last=True)
        finally:
            record.end(refusal.code or refusal.type, 200)
        if refusal is INTERNAL:
            raise  # to be told to the log
    finally:
        pacer.stop()


def _told_in_band(problem: BaseException, gateway: Gateway, deadline: Deadline) -> Refusal | None:
    """What ends a stream that has begun; None where there is nobody left to tell."""
    if isinstance(problem, Refusal):
        return problem
    if not isinstance(problem, asyncio.CancelledError):
        return INTERNAL if isinstance(problem, Exception) else None
    if deadline.passed:
        return too_slow()
    return overloaded("This service is stopping.") if gateway.expired else None


def _answer_id() -> str:
    return f"chatcmpl-{getrandbits(96):024x}"


def _note_finish(record: Record, finish: Finish | None) -> None:
    if finish is not None:
        record.finish_reason = finish.reason
        record.usage = finish.usage
