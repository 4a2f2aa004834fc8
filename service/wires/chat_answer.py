"""Reading answers in the shape of chat completions: whole ones, and the chunks of a stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from service.errors import Failure, Kind
from service.events import (
    VISIBLE,
    Event,
    Extra,
    File,
    Finish,
    FinishReason,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    escape,
)
from service.wires.call_ids import mint
from service.writing import as_json, sound_text

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
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
}
BROKEN_REASONS = frozenset({"error", "abort", "malformed_function_call", "insufficient_system_resource"})
"""Words for an answer that broke off, however much of it there is."""
MEDIA_MARKDOWN = re.compile(r"!\[(.*?)\]\((https?://[^\s)]+)\)\s*(?:\2)?\s*", re.DOTALL)
BARE_URL = re.compile(r"\s*(https?://[^\s)]+)\s*")
MAX_COUNT = 2**53
MAX_CALLS = 256
"""Tool calls of one answer; more is no answer of a model but a fault."""


class Calls:
    """The tool calls of one answer, as their fragments come: gives each an id of ours and its place.

    A fragment belongs to the call of its `index`; one without an index, to the call of its id, else to the last one.
    Some bots give every whole call index 0: a new id or name under a known index is a new call.
    """

    def __init__(self) -> None:
        self._by_index: dict[int, int] = {}
        self._upstream_ids: list[str] = []
        self._halves: list[str] = []
        self._told_opaque: set[int] = set()
        self.ids: list[str] = []
        self.names: list[str] = []
        self.arguments: list[list[str]] = []

    def feed(self, fragment: Mapping[str, Any], index: object = None) -> ToolCall | None:
        """The event for one fragment, None while the call's name is unknown. `index` where the fragment has none."""
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        name, upstream_id = _text(function.get("name")), _text(fragment.get("id"))
        arguments = function.get("arguments")
        if isinstance(arguments, (dict, list)):
            arguments = as_json(arguments).decode()
        arguments = _text(arguments)
        place = self._place(fragment.get("index") if index is None else index, upstream_id, name, arguments)
        if place == len(self.ids):
            self._open(upstream_id)
        arguments = self._without_half(place, arguments)
        if not name and not self.names[place]:
            self.arguments[place].append(arguments)
            return None
        first = not self.names[place]
        if first:
            self.names[place] = sound_text(name)
            arguments = "".join([*self.arguments[place], arguments])
            self.arguments[place].clear()
        self.arguments[place].append(arguments)
        return ToolCall(
            index=place,
            id=self.ids[place],
            name=self.names[place] if first else None,
            arguments=arguments,
            opaque=self._opaque(place, fragment.get("extra_content")),
        )

    def _place(self, index: object, upstream_id: str, name: str, arguments: str) -> int:
        if isinstance(index, int) and not isinstance(index, bool):
            place = self._by_index.get(index)
            if place is None or self._is_another(place, upstream_id, name, arguments):
                place = self._by_index[index] = len(self.ids)
            return place
        if upstream_id and upstream_id in self._upstream_ids:
            return self._upstream_ids.index(upstream_id)
        last = len(self.ids) - 1
        if last < 0 or upstream_id or self._is_another(last, "", name, arguments):
            return len(self.ids)
        return last

    def _is_another(self, place: int, upstream_id: str, name: str, arguments: str) -> bool:
        """Whether a fragment that seems to go on with the call at `place` begins another one."""
        if upstream_id and self._upstream_ids[place] not in ("", upstream_id):
            return True
        known = self.names[place]
        if not name or not known or (upstream_id and upstream_id == self._upstream_ids[place]):
            return False
        return name != known or (bool(arguments) and _is_whole("".join(self.arguments[place])))

    def _open(self, upstream_id: str) -> None:
        if len(self.ids) >= MAX_CALLS:
            raise Failure(Kind.BROKEN, "The model's answer holds too many tool calls.")
        self._upstream_ids.append(upstream_id)
        self._halves.append("")
        self.ids.append(mint(upstream_id))
        self.names.append("")
        self.arguments.append([])

    def _without_half(self, place: int, arguments: str) -> str:
        """The arguments that can be written now: half of a surrogate pair waits for the other one."""
        if arguments.isascii() and not self._halves[place]:
            return arguments
        text = self._halves[place] + arguments
        self._halves[place] = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return sound_text(text[: len(text) - len(self._halves[place])])

    def _opaque(self, place: int, extra: object) -> Mapping[str, Any] | None:
        # Once for each call: programs add up what comes twice.
        if not isinstance(extra, dict) or not extra or place in self._told_opaque:
            return None
        self._told_opaque.add(place)
        mended_extra: Mapping[str, Any] = orjson.loads(as_json(extra))
        return mended_extra

    def check(self, reason: FinishReason = "tool_calls") -> None:
        """Raise `Failure` unless every call is whole: it has a name, and arguments that parse as JSON.

        The last call of an answer that reached its limit may end anywhere.
        """
        if not self.ids:
            return
        cut = reason in ("length", "content_filter")
        for place, (name, fragments) in enumerate(zip(self.names, self.arguments, strict=True)):
            if cut and place == len(self.names) - 1:
                return
            if not _is_whole("".join(fragments) or "{}"):
                raise Failure(Kind.CUT, "The model's tool call ended before its arguments were whole.")
            if not name:
                raise Failure(Kind.CUT, "The model's tool call names no function.")

    def __len__(self) -> int:
        return len(self.ids)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_whole(arguments: str) -> bool:
    try:
        orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return False
    return True


def message_events(message: Mapping[str, Any], calls: Calls, *, whole: bool = False) -> list[Event]:
    """The events in a message (`whole`: each of its tool calls stands for itself) or a delta, in reading order."""
    events: list[Event] = []
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thoughts, str) and thoughts:
        events.append(Reasoning((escape(thoughts),)))
    events += _content_events(message.get("content"))
    fragments = message.get("tool_calls")
    if isinstance(fragments, list):
        for place, fragment in enumerate(fragments):
            call = calls.feed(fragment, place if whole else None) if isinstance(fragment, dict) else None
            if call is not None:
                events.append(call)
    extra = _extra(message)
    if extra:
        events.append(Extra(extra))
    return events


def _extra(message: Mapping[str, Any]) -> dict[str, Any]:
    extra = {name: value for name, value in message.items() if name not in KNOWN and (value or value == 0)}
    provider = message.get("provider_specific_fields")
    if isinstance(provider, dict) and any(provider.values()):
        extra["provider_specific_fields"] = {k: v for k, v in provider.items() if v}
    return orjson.loads(as_json(extra)) if extra else extra


def _content_events(content: object) -> list[Event]:
    if isinstance(content, str):
        return [Text((escape(content),))] if content else []
    if not isinstance(content, list):
        return []
    return [event for part in content if isinstance(part, dict) for event in _part_events(part)]


def _part_events(part: Mapping[str, Any]) -> list[Event]:
    text, image = part.get("text"), part.get("image_url")
    if part.get("type") == "text" and isinstance(text, str) and text:
        return [Text((escape(text),))]
    url = image.get("url") if isinstance(image, dict) else image
    if part.get("type") == "image_url" and isinstance(url, str) and url:
        return [File(sound_text(url), content_type="image/*")]
    return []


def finish_reason(word: object, calls: Calls) -> FinishReason:
    """Our word for an upstream's. Raises `Failure` where it says that the answer broke off.

    Some models say `stop` although they called a tool, and some the opposite.
    """
    reason = REASONS.get(word) if isinstance(word, str) else None
    if reason is None:
        lower = str(word).lower()
        if lower in BROKEN_REASONS:
            raise Failure(Kind.CUT, "The model broke off its answer.")
        reason = REASONS.get(lower, "stop")
    if reason in ("stop", "tool_calls"):
        return "tool_calls" if len(calls) else "stop"
    return reason


def usage_of(member: object) -> Usage | None:
    """Token counts as Poe reports them, None where there are none to read."""
    if not isinstance(member, dict):
        return None
    prompt: Any = member.get("prompt_tokens")
    completion: Any = member.get("completion_tokens")
    if not _is_count(prompt) or not _is_count(completion):
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=_detail(member.get("completion_tokens_details"), "reasoning_tokens"),
        cached_tokens=_detail(member.get("prompt_tokens_details"), "cached_tokens"),
        reported=member,
    )


def _detail(details: object, name: str) -> int:
    value: Any = details.get(name) if isinstance(details, dict) else None
    return value if _is_count(value) else 0


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_COUNT  # a bool is none


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
    events = message_events(message, calls, whole=True)
    if media and isinstance(message.get("content"), str):
        texts = media_events(message["content"])
        events = [*[event for event in events if not isinstance(event, Text)], *texts]
    if first.get("logprobs") is not None:
        events.append(Extra({"logprobs": orjson.loads(as_json(first["logprobs"]))}))
    reason = finish_reason(first.get("finish_reason") or "stop", calls)
    calls.check(reason)
    if reason in ("stop", "tool_calls") and not any([says_something(event) for event in events]):
        raise Failure(Kind.EMPTY, "The model's answer is empty.")
    events.append(Finish(reason, usage_of(payload.get("usage"))))
    return events


def says_something(event: Event) -> bool:
    """Whether an answer that holds this event and no other is more than nothing."""
    return isinstance(event, VISIBLE) or (isinstance(event, Extra) and "refusal" in event.members)
