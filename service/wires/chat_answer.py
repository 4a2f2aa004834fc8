"""Reading answers in the shape of chat completions: whole ones, and the chunks of a stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from service.errors import Failure, Kind
from service.events import Event, Extra, File, Finish, FinishReason, Reasoning, Text, ToolCall, Usage, escape
from service.wires.call_ids import mint

KNOWN = frozenset(
    {"role", "content", "reasoning_content", "reasoning", "tool_calls", "function_call", "provider_specific_fields"}
)
REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}
MEDIA_MARKDOWN = re.compile(r"!\[([^\]]*)\]\((https?://[^\s)]+)\)\s*(?:\2)?\s*")
BARE_URL = re.compile(r"\s*(https?://[^\s)]+)\s*")
MAX_CALLS = 256
"""Tool calls of one answer; more is no answer of a model but a fault."""


class Calls:
    """The tool calls of one answer, as their fragments come: gives each an id of ours and its place.

    A fragment belongs to the call of its `index`; one without an index, to the call of its id, else to the last one.
    Some bots give every whole call index 0: a new id under a known index is a new call.
    """

    def __init__(self) -> None:
        self._by_index: dict[int, int] = {}
        self._upstream_ids: list[str] = []
        self.ids: list[str] = []
        self.names: list[str] = []
        self.arguments: list[list[str]] = []

    def feed(self, fragment: Mapping[str, Any]) -> ToolCall:
        """The event for one fragment."""
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments, upstream_id = function.get("name"), function.get("arguments"), fragment.get("id")
        if isinstance(arguments, (dict, list)):
            arguments = orjson.dumps(arguments).decode()
        place = self._place(fragment.get("index"), upstream_id if isinstance(upstream_id, str) else "")
        if place == len(self.ids):
            self._open(upstream_id if isinstance(upstream_id, str) else "")
        text = arguments if isinstance(arguments, str) else ""
        self.arguments[place].append(text)
        first = not self.names[place] and isinstance(name, str) and name
        if first:
            self.names[place] = str(name)
        opaque = fragment.get("extra_content")
        return ToolCall(
            index=place,
            id=self.ids[place],
            name=str(name) if first else None,
            arguments=text,
            opaque=opaque if isinstance(opaque, dict) and opaque else None,
        )

    def _place(self, index: object, upstream_id: str) -> int:
        if isinstance(index, int) and not isinstance(index, bool):
            place = self._by_index.get(index)
            if place is not None and upstream_id and self._upstream_ids[place] not in ("", upstream_id):
                place = None
            if place is None:
                place = self._by_index[index] = len(self.ids)
            return place
        if upstream_id and upstream_id in self._upstream_ids:
            return self._upstream_ids.index(upstream_id)
        return len(self.ids) if upstream_id or not self.ids else len(self.ids) - 1

    def _open(self, upstream_id: str) -> None:
        if len(self.ids) >= MAX_CALLS:
            raise Failure(Kind.BROKEN, "The model's answer holds too many tool calls.")
        self._upstream_ids.append(upstream_id)
        self.ids.append(mint(upstream_id))
        self.names.append("")
        self.arguments.append([])

    def check(self) -> None:
        """Raise `Failure` unless every call is whole: it has a name, and arguments that parse as JSON."""
        for name, fragments in zip(self.names, self.arguments, strict=True):
            text = "".join(fragments)
            try:
                orjson.loads(text or "{}")
            except orjson.JSONDecodeError:
                raise Failure(Kind.CUT, "The model's tool call ended before its arguments were whole.") from None
            if not name:
                raise Failure(Kind.CUT, "The model's tool call names no function.")

    def __len__(self) -> int:
        return len(self.ids)


def message_events(message: Mapping[str, Any], calls: Calls) -> list[Event]:
    """The events in a message or a delta, in the order in which people read them."""
    events: list[Event] = []
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thoughts, str) and thoughts:
        events.append(Reasoning((escape(thoughts),)))
    events += _content_events(message.get("content"))
    fragments = message.get("tool_calls")
    if isinstance(fragments, list):
        events += [calls.feed(fragment) for fragment in fragments if isinstance(fragment, dict)]
    extra = {name: value for name, value in message.items() if name not in KNOWN and value not in (None, [], {}, "")}
    provider = message.get("provider_specific_fields")
    if isinstance(provider, dict) and any(provider.values()):
        extra["provider_specific_fields"] = {k: v for k, v in provider.items() if v}
    if extra:
        events.append(Extra(extra))
    return events


def _content_events(content: object) -> list[Event]:
    if isinstance(content, str):
        return [Text((escape(content),))] if content else []
    if not isinstance(content, list):
        return []
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return [Text((escape(text),)) for text in texts if isinstance(text, str) and text]


def finish_reason(word: object, calls: Calls) -> FinishReason:
    """Our word for an upstream's. Some models say `stop` although they called a tool."""
    reason = REASONS.get(str(word).lower(), "stop")
    return "tool_calls" if len(calls) and reason == "stop" else reason


def usage_of(member: object) -> Usage | None:
    """Token counts as Poe reports them, None where there are none to read."""
    if not isinstance(member, dict):
        return None
    prompt, completion = member.get("prompt_tokens"), member.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=_detail(member.get("completion_tokens_details"), "reasoning_tokens"),
        cached_tokens=_detail(member.get("prompt_tokens_details"), "cached_tokens"),
        reported=member,
    )


def _detail(details: object, name: str) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return value if isinstance(value, int) else 0


def media_events(text: str) -> list[Event]:
    """What a media bot's text holds: its files where the text is nothing but links to them, else the text."""
    found = BARE_URL.fullmatch(text)
    if found is not None:
        return [File(found.group(1))]
    files: list[Event] = []
    at = len(text) - len(text.lstrip())
    while at < len(text):
        linked = MEDIA_MARKDOWN.match(text, at)
        if linked is None:
            return [Text((escape(text),))] if text else []
        files.append(File(linked.group(2), content_type="image/*", name=linked.group(1)))
        at = linked.end()
    return files


def whole_answer(payload: object, *, media: bool) -> list[Event]:
    """The events of a whole answer's JSON. Raises `Failure` where it is none."""
    choices = payload.get("choices") if isinstance(payload, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(payload, dict) or not isinstance(first, dict) or not isinstance(message, dict):
        raise Failure(Kind.BROKEN, "Poe's answer has no message in it.")
    calls = Calls()
    events = message_events(message, calls)
    if media and isinstance(message.get("content"), str):
        texts = media_events(message["content"])
        events = [*[event for event in events if not isinstance(event, Text)], *texts]
    if first.get("logprobs") is not None:
        events.append(Extra({"logprobs": first["logprobs"]}))
    calls.check()
    reason = finish_reason(first.get("finish_reason") or "stop", calls)
    if not events and reason in ("stop", "tool_calls"):
        raise Failure(Kind.EMPTY, "The model's answer is empty.")
    events.append(Finish(reason, usage_of(payload.get("usage"))))
    return events
