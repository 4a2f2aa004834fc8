"""What a healthy Poe says on each wire, in the pieces that a fault can fall between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from tests.faults.proxy import Call, Script, Step
from tests.wires.answers import DONE, event, text
from tests.wires.upstream import answer

WORDS = ("alpha", "naïve", "三", "🙂", "epsilon", "zeta", "eta", "theta")
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}


def words_of(call: Call) -> list[str]:
    """The words of the answer to a call; no two calls have the same."""
    return [f"{call.key}-{call.number}", *[f" {word}" for word in WORDS]]


def framed(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chat_event(members: Any) -> bytes:
    """One event of a chat stream."""
    return b"data: %b\n\n" % (members if isinstance(members, bytes) else orjson.dumps(members))


def chat_chunk(delta: dict[str, Any], finish: str | None = None, **members: Any) -> bytes:
    """One chunk of a chat completion, as an event."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return chat_event({**head, "choices": [choice], **members})


@dataclass(frozen=True)
class Speech:
    """The right answer to one call. `first` shows no work yet; each of `words` is one event; `end` is the proper end.

    All but `whole` are unframed bytes of an event stream.
    """

    call: Call
    words: tuple[str, ...]
    first: bytes
    events: tuple[bytes, ...]
    end: tuple[bytes, ...]

    @property
    def streams(self) -> bool:
        """Whether the gateway asked for a stream; on the bot wire there is nothing else."""
        return self.call.wire == "bot" or bool(self.call.members.get("stream"))

    @property
    def json(self) -> bytes:
        """The whole answer of the chat wire."""
        message = {"role": "assistant", "content": "".join(self.words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "chatcmpl-x", "object": "chat.completion", "created": 1, "model": "m"}
        return orjson.dumps({**head, "choices": [choice], "usage": USAGE})

    def begun(self, words: int = 0) -> list[Step]:
        """The stream up to some word."""
        return [STREAM_HEAD, framed(self.first), *map(framed, self.events[:words])]

    def rest(self, words: int = 0) -> list[Step]:
        """The stream from some word to its proper end."""
        return [*map(framed, [*self.events[words:], *self.end]), LAST_CHUNK]

    def right(self) -> Script:
        """All of it, streamed or whole as it was asked for."""
        return [*self.begun(), *self.rest()] if self.streams else [answer("200 OK", self.json)]


def speech_for(call: Call) -> Speech:
    """The right answer to a call."""
    words = words_of(call)
    if call.wire == "bot":
        first = event("meta", {"content_type": "text/markdown", "suggested_replies": False})
        return Speech(call, tuple(words), first, tuple(text(word) for word in words), (DONE,))
    end = (chat_chunk({}, "stop"), chat_event({"object": "chat.completion.chunk", "choices": [], "usage": USAGE}))
    return Speech(
        call,
        tuple(words),
        chat_chunk({"role": "assistant", "content": ""}),
        tuple(chat_chunk({"content": word}) for word in words),
        (*end, b"data: [DONE]\n\n"),
    )


def right(call: Call) -> Script:
    """The script of the right answer."""
    return speech_for(call).right()


def says(call: Call, sentences: Iterable[str]) -> Script:
    """A right answer with other words."""
    speech = speech_for(call)
    words = tuple(sentences)
    as_event = text if call.wire == "bot" else lambda word: chat_chunk({"content": word})
    return Speech(call, words, speech.first, tuple(as_event(word) for word in words), speech.end).right()
