"""Answers of bots as bytes, ways to cut them, and what a reader made of one, folded so that two can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.errors import Failure
from service.events import Event, File, Finish, Progress, Reasoning, Text, ToolCall, read
from service.wires.bot_events import BotReader
from service.wires.call_ids import original


def event(name: str, data: Any, end: str = "\r\n") -> bytes:
    """One event as fastapi_poe's server half writes it; `data` is JSON to be, or text as it stands."""
    return f"event: {name}{end}data: {data if isinstance(data, str) else json.dumps(data)}{end}{end}".encode()


def text(words: str, end: str = "\r\n") -> bytes:
    return event("text", {"text": words}, end)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: Any) -> bytes:
    """A chat completion chunk in a `json` event; without a delta one without choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return event("json", {**body, **members})


def call(index: int = 0, **members: Any) -> dict[str, Any]:
    """The delta of a tool call."""
    return {"tool_calls": [{"index": index, **members}]}


DONE = event("done", {})


@dataclass
class Answer:
    """What came out of an answer."""

    text: str = ""
    thoughts: str = ""
    files: list[tuple[str, str, str]] = field(default_factory=list)
    calls: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    finish: str | None = None
    failure: str | None = None
    usage: tuple[int, int] | None = None
    progress: int = field(default=0, compare=False)


def fold(events: Iterable[Event], failure: Failure | None = None) -> Answer:
    """The answer that some events make; tool-call ids are the upstream's."""
    answer = Answer(failure=failure.kind.value if failure is not None else None)
    pieces: list[bytes] = []
    thoughts: list[bytes] = []
    for each in events:
        match each:
            case Text():
                read(each.pieces)
                pieces += each.pieces
            case Reasoning():
                thoughts += each.pieces
            case File():
                answer.files.append((each.url, each.content_type, each.name))
            case ToolCall():
                _, name, arguments = answer.calls.get(each.index, ("", "", ""))
                answer.calls[each.index] = (original(each.id), each.name or name, arguments + each.arguments)
            case Finish():
                assert answer.finish is None
                answer.finish = each.reason
                usage = each.usage
                answer.usage = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
            case Progress():
                answer.progress += 1
    answer.text, answer.thoughts = read(pieces), read(thoughts)
    return answer


def ours(chunks: Sequence[bytes], **options: Any) -> Answer:
    """What our reader makes of a body that comes in `chunks`."""
    reader = BotReader(**options)
    events = [each for chunk in chunks for each in reader.feed(chunk)] + reader.close()
    assert reader.done == (reader.failure is None)
    return fold(events, reader.failure)


def pieces(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The body cut at some places."""
    places = sorted(cuts)
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
