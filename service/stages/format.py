"""Answers that must be JSON: asking for it, checking it afterwards, and saying what is wrong so that it is mended."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson

from service.events import Event, Finish, Text, ToolCall, Usage, escape, read
from service.prompt import OutputFormat, Prompt, TextPart, Turn
from service.stages.schema import MAX_REASON, Schema, size_of
from service.writing import as_json

FENCED = re.compile(r"\s*```[a-zA-Z0-9_-]*[ \t]*\r?\n(.*?)\r?\n?```\s*", re.DOTALL)


class Checker:
    """Checks answers against one asked format."""

    def __init__(self, wanted: OutputFormat) -> None:
        self._schema = Schema(wanted.schema or {}) if wanted.kind == "json_schema" else None

    def reason_against(self, text: str) -> str | None:
        """Why `text` is not what was asked for, None if it is."""
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return f"it is not JSON ({error})"[:MAX_REASON]
        if self._schema is None:
            return None if isinstance(value, dict) else "it is JSON, but no object"
        return self._schema.reason_against(value, size_of(text))


def unfenced(text: str) -> str:
    """The text inside a Markdown code fence, where the whole text is one; else the text itself."""
    found = FENCED.fullmatch(text)
    return found.group(1) if found else text


def ask(prompt: Prompt) -> Prompt:
    """The prompt with the format asked for in words, since Poe's endpoints ignore the request field."""
    wanted = prompt.output_format
    if wanted is None:
        return prompt
    begin = "When you do not call a tool, answer" if prompt.tools else "Answer"
    words = f"{begin} with one JSON object and nothing else: no prose, no code fence."
    if wanted.kind == "json_schema":
        schema = as_json(wanted.schema or {}).decode()
        words = f"{begin} with JSON that fits this JSON Schema and nothing else: no prose, no code fence.\n{schema}"
    turns = list(prompt.turns)
    leading = next((i for i, turn in enumerate(turns) if turn.role != "system"), len(turns))
    turns.insert(leading, Turn("system", (TextPart(words),)))
    return replace(prompt, turns=tuple(turns))


def ask_again(prompt: Prompt, answer: str, reason: str) -> Prompt:
    """The prompt for the one repair: what came, and what is wrong with it."""
    words = f"That does not fit what was asked for: {reason}. Answer again with the corrected JSON and nothing else."
    turns = (*prompt.turns, Turn("assistant", (TextPart(answer),)), Turn("user", (TextPart(words),)))
    return replace(prompt, turns=turns)


class Collected:
    """A whole answer in hand, before anybody has seen it. `after`: the answer that it repairs, paid for as well."""

    def __init__(self, events: list[Event], after: Collected | None = None) -> None:
        if after is not None:
            events = [_summed(event, after.usage) if isinstance(event, Finish) else event for event in events]
        self._events = events
        pieces = [piece for event in events if isinstance(event, Text) for piece in event.pieces]
        self.text = unfenced(read(pieces))
        last = events[-1] if events else None
        self._cut = isinstance(last, Finish) and last.reason in ("length", "content_filter")
        self._calls = any(isinstance(event, ToolCall) for event in events)
        self.usage: Usage | None = last.usage if isinstance(last, Finish) else None

    def reason_against(self, checker: Checker) -> str | None:
        """Why the answer does not fit. One that was cut for its length, or that calls a tool, is what it is."""
        return None if self._cut or self._calls else checker.reason_against(self.text)

    def events(self) -> list[Event]:
        """The answer's events, its text in one piece and out of any code fence."""
        others = [event for event in self._events if not isinstance(event, (Text, Finish))]
        texts: list[Event] = [Text((escape(self.text),))] if self.text else []
        return [*others, *texts, *[event for event in self._events if isinstance(event, Finish)]]


async def collect(answer: AsyncGenerator[list[Event], None], *, after: Collected | None = None) -> Collected:
    """All of an answer; its usage counts the answer that it comes `after` as well."""
    events: list[Event] = []
    async with aclosing(answer):
        async for batch in answer:
            events += batch
    return Collected(events, after)


def _summed(finish: Finish, before: Usage | None) -> Finish:
    usage = finish.usage
    if usage is None or before is None:
        return finish if usage is not None else replace(finish, usage=before)
    details = None
    if usage.reported is not None and before.reported is not None:
        details = _added(before.reported, usage.reported)
    total = Usage(
        prompt_tokens=before.prompt_tokens + usage.prompt_tokens,
        completion_tokens=before.completion_tokens + usage.completion_tokens,
        reasoning_tokens=before.reasoning_tokens + usage.reasoning_tokens,
        cached_tokens=before.cached_tokens + usage.cached_tokens,
        estimated=before.estimated or usage.estimated,
        reported=details,
    )
    return replace(finish, usage=total)


def _added(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both objects in one: counts added, of anything else the second one's."""
    out = {**first, **second}
    for name in first.keys() & second.keys():
        one, other = first[name], second[name]
        if type(one) is int and type(other) is int:
            out[name] = one + other
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            out[name] = _added(one, other)
    return out
