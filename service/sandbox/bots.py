"""The bots: fastapi_poe's own server half, playing the sandbox's answers (poe.md 1.4, 1.6, 1.9, 3)."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from service.sandbox.answer import CallTool, Report, Rewrite, Say, Show, Suggest, Think
from service.sandbox.bot_door import PREFIX, SCOPE_KEY, Appearance, Part
from service.sandbox.chat_shapes import tool_deltas, visible_tokens
from service.sandbox.performance import Garbage, Step, words
from service.sandbox.poe_errors import Refused
from service.sandbox.state import Sandbox
from service.sandbox.tokens import count_tokens

if TYPE_CHECKING:
    import fastapi_poe
    from fastapi import FastAPI
    from sse_starlette.event import ServerSentEvent

    BotEvent = fastapi_poe.PartialResponse | ServerSentEvent


def add_bots(app: FastAPI, sandbox: Sandbox) -> None:
    """Serve every bot under `/bot/{name}`. Imports fastapi_poe, which nothing else of the service needs."""
    import fastapi_poe
    from sse_starlette.sse import AppStatus

    class SandboxBot(fastapi_poe.PoeBot):
        async def get_response_with_context(
            self, request: fastapi_poe.QueryRequest, context: fastapi_poe.RequestContext
        ) -> AsyncGenerator[BotEvent, None]:
            appearance: Appearance = context.http_request.scope[SCOPE_KEY]
            async for event in _Player(appearance, sandbox).events():
                yield event

        async def on_error(self, error_request: fastapi_poe.ReportErrorRequest) -> None:
            # The library would log the report, which holds what users wrote.
            return

    # The library asks uvicorn whether it stops and then cuts all streams at once. A sandbox inside a draining gateway
    # has to let them end.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    log = logging.getLogger("uvicorn.default")
    level = log.level
    # make_app warns that these bots are not registered with Poe.
    log.setLevel(logging.ERROR)
    try:
        fastapi_poe.make_app([SandboxBot(path=f"{PREFIX}{{name}}")], allow_without_key=True, app=app)
    finally:
        log.setLevel(level)


class _Quotation:
    """Thoughts on the bot wire: a `*Thinking...*` line, Markdown quote lines, a blank line (poe.md 1.9)."""

    def __init__(self) -> None:
        self._open = False

    def thought(self, piece: str) -> str:
        quoted = piece.replace("\n", "\n> ")
        opening = "" if self._open else "*Thinking...*\n\n> "
        self._open = True
        return opening + quoted

    def end(self) -> str:
        closing = "\n\n" if self._open else ""
        self._open = False
        return closing


class _Player:
    """Turns one performance into the library's events."""

    def __init__(self, appearance: Appearance, sandbox: Sandbox) -> None:
        import fastapi_poe
        from sse_starlette.event import ServerSentEvent

        self._poe = fastapi_poe
        self._raw_event = ServerSentEvent
        self._name = appearance.name
        self._base_url = appearance.base_url
        self._part = appearance.part
        self._sandbox = sandbox
        self._quotation = _Quotation()
        self._chunk_id = f"chatcmpl-{secrets.token_hex(12)}"
        self._calls = 0
        self._content_deltas = 0

    async def events(self) -> AsyncGenerator[BotEvent, None]:
        """Everything but `done`, which the library adds."""
        if isinstance(self._part, Refused):
            yield self._error(self._part)
            return
        if self._part.model.greets:
            yield self._poe.MetaResponse(
                text="", content_type="text/markdown", linkify=True, suggested_replies=True, refetch_settings=False
            )
        try:
            async for step in self._part.performance.steps():
                for event in self._played(step, self._part):
                    yield event
        except Refused as refused:
            yield self._error(refused)
            return
        if self._part.performance.broken is None:
            for event in self._chunk_ends(self._part):
                yield event

    def _played(self, step: Step, part: Part) -> Iterator[BotEvent]:
        if isinstance(step, Think):
            yield self._text(self._quotation.thought(step.text))
            return
        closing = self._quotation.end()
        if closing:
            yield self._text(closing)
        if isinstance(step, Say):
            yield self._said(step.text, part)
        elif isinstance(step, CallTool):
            for delta in tool_deltas(step, self._calls, words(step.arguments)):
                yield self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])
            self._calls += 1
        elif isinstance(step, Show):
            yield from self._shown(step)
        elif isinstance(step, Report | Rewrite):
            yield self._poe.PartialResponse(text=step.text, is_replace_response=True)
        elif isinstance(step, Suggest):
            yield self._poe.PartialResponse(text=step.text, is_suggested_reply=True)
        elif isinstance(step, Garbage):
            yield self._raw_event(event="text", data='{"text": "bro')

    def _said(self, text: str, part: Part) -> BotEvent:
        if part.model.json_text and part.ask.tools:
            # A request with tools may be answered with content deltas or with text events (poe.md 1.6).
            self._content_deltas += 1
            return self._chunk([{"index": 0, "delta": {"content": text}, "finish_reason": None}])
        return self._text(text)

    def _shown(self, show: Show) -> Iterator[BotEvent]:
        stored = self._sandbox.files.add(show.data, content_type=show.content_type, name=show.name)
        url = f"{self._base_url}{stored.path}{f'?{show.query}' if show.query else ''}"
        reference = secrets.token_hex(4) if show.kind == "video" else None
        yield self._poe.PoeBot.file_event(url, show.content_type, show.name, reference)
        # Pictures are shown by their URL, films by a reference to the file event, sound by the file event alone.
        if reference is not None:
            yield self._poe.PartialResponse(text=f"![{show.name}][{reference}]", is_replace_response=True)
        elif show.title:
            yield self._poe.PartialResponse(text=f"![{show.title}]({url})", is_replace_response=True)

    def _chunk_ends(self, part: Part) -> Iterator[BotEvent]:
        """The last chunks of an answer in json events: a finish reason, then usage, the only one on this wire."""
        if not (self._calls or self._content_deltas):
            return
        yield self._chunk([{"index": 0, "delta": {}, "finish_reason": part.performance.answer.finish}])
        asked, told = visible_tokens(part.ask), count_tokens(part.performance.said)
        yield self._chunk([], usage={"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told})

    def _chunk(self, choices: list[Any], **more: Any) -> ServerSentEvent:
        body = {
            "id": self._chunk_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._name,
            "choices": choices,
            **more,
        }
        return self._raw_event(event="json", data=json.dumps(body))

    def _text(self, text: str) -> BotEvent:
        return self._poe.PartialResponse(text=text)

    def _error(self, refused: Refused) -> BotEvent:
        error_type: Any = refused.error_type
        return self._poe.ErrorResponse(text=refused.event_text, allow_retry=refused.allow_retry, error_type=error_type)
