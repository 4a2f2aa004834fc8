"""What travels up: events from a wire, and the frames that a dialect writes down.

Grammar of an answer: any number of deltas, then exactly one `Finish`. Failures are raised (`errors.Failure`), never
yielded. A wire yields lists of events, one list for each read from the network, since wake-ups are what costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson

from service.frozen import frozen

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@frozen
class Text:
    """One or more deltas of visible text, each the *inside of a JSON string* (escaped, UTF-8, without quotes).

    Both upstream wires bring text inside JSON strings and every dialect sends it inside JSON strings, so it travels
    escaped and is decoded only where somebody must read it (`read`).
    """

    pieces: tuple[bytes, ...]


@frozen
class Reasoning:
    """Deltas of the model's thoughts, in the form of `Text`."""

    pieces: tuple[bytes, ...]


@frozen
class ToolCall:
    """A delta of a tool call.

    `index` orders the calls of one answer and `id` is ours (wires.call_ids), both on every delta; `name` is set on
    the first delta of a call only. `opaque` is what the provider wants echoed with the call.
    """

    index: int
    id: str
    name: str | None = None
    arguments: str = ""
    opaque: Mapping[str, Any] | None = None


@frozen
class File:
    """A file that the model made, at a URL that lives for some minutes only."""

    url: str
    content_type: str = ""
    name: str = ""


@frozen
class Progress:
    """A sign of work that a caller cannot see: a progress line, a replacement that is held back."""


@frozen
class Extra:
    """Members of an answer that are no part of this vocabulary, kept for the dialect whose shape they have."""

    members: Mapping[str, Any]


@frozen
class Usage:
    """Token counts. `estimated`: the numbers are ours (stages.estimate) and not the provider's.

    `reported` is the provider's own object, kept so that no detail of it is lost on the way to a dialect of its shape.
    """

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    reported: Mapping[str, Any] | None = None


@frozen
class Finish:
    """The answer's proper end. `usage` is None where the wire reports none; the gateway then estimates."""

    reason: FinishReason
    usage: Usage | None = None


Event = Text | Reasoning | ToolCall | File | Progress | Extra | Finish
EVENT_BYTES = 256
"""What an event takes beside its text."""
VISIBLE = (Text, Reasoning, ToolCall, File)
"""The events that commit an answer: once one of them has left, no second attempt may speak."""


def escape(text: str) -> bytes:
    """The inside of the JSON string that holds `text`; lone surrogates become U+FFFD."""
    try:
        return orjson.dumps(text)[1:-1]
    except orjson.JSONEncodeError:
        return orjson.dumps(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))[1:-1]


def read(pieces: Iterable[bytes]) -> str:
    """The text of escaped pieces, in order."""
    text: str = orjson.loads(b'"%b"' % b"".join(pieces))
    return text


def size(event: Event) -> int:
    """About how many bytes an event takes while it is kept."""
    if type(event) is Text or type(event) is Reasoning:
        return sum([len(piece) for piece in event.pieces])
    match event:
        case ToolCall():
            return EVENT_BYTES + len(event.arguments)
        case File():
            return EVENT_BYTES + len(event.url) + len(event.name)
        case Extra(members):
            return EVENT_BYTES + len(repr(members))
        case _:
            return EVENT_BYTES
