"""Ready bytes: the upstream's answers in Poe's own shapes, HTTP head and chunks included.

Each event of a stream is an HTTP chunk of its own, as Poe's servers write them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import orjson

from bench import cases
from bench.http11 import LAST_CHUNK, chunk

_CREATED = 1774561949
_STANDARD_HEAD = (
    b"HTTP/1.1 %b\r\nserver: cloudflare\r\nopenai-version: 2020-10-01\r\nopenai-processing-ms: 1\r\n"
    b"x-request-id: req_poe_0123456789abcdef0123456789abcdef\r\nx-ratelimit-limit-requests: 500\r\n"
    b"x-ratelimit-remaining-requests: 499\r\nx-ratelimit-reset-requests: 60\r\n"
)
_USAGE = {
    "completion_tokens": 60,
    "prompt_tokens": 14,
    "total_tokens": 74,
    "completion_tokens_details": {"reasoning_tokens": 0},
    "prompt_tokens_details": {"cached_tokens": 0},
}


@dataclass(frozen=True, slots=True)
class Paced:
    """A stream by the clock: a head, `events` stamped events between `prefix` and `suffix`, and an end."""

    head: bytes
    prefix: bytes
    suffix: bytes
    events: int
    end: bytes


Reply = bytes | Paced


def whole(status: bytes, body: bytes) -> bytes:
    """A whole answer of JSON, head and body."""
    head = _STANDARD_HEAD % status
    return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


_STREAM_HEAD = (
    _STANDARD_HEAD % b"200 OK"
    + b"content-type: text/event-stream\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n"
)


def refusal(message: str) -> bytes:
    """The answer to a request that is not one of ours."""
    return whole(b"400 Bad Request", orjson.dumps({"error": {"message": message, "type": "invalid_request_error"}}))


def failure() -> bytes:
    """Poe's answer where it fails by itself."""
    error = {"message": "Internal server error", "type": "provider_error", "code": 500}
    return whole(b"500 Internal Server Error", orjson.dumps({"error": error}))


def _chat_event(model: str, **members: object) -> bytes:
    choices: list[object] = [] if "usage" in members else [{"index": 0, **members}]
    event: dict[str, object] = {
        "id": "chatcmpl-fb8c85d7eb255afe3d1dac01",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": model,
        "choices": choices,
    }
    if "usage" in members:
        event["usage"] = members["usage"]
    return chunk(b"data: " + orjson.dumps(event) + b"\n\n")


def _chat_delta(model: str, content: str) -> bytes:
    return _chat_event(model, delta={"content": content}, finish_reason=None)


def _chat_start(model: str) -> bytes:
    return _STREAM_HEAD + _chat_event(model, delta={"role": "assistant", "content": ""}, finish_reason=None)


def _chat_end(model: str, *, usage: bool) -> bytes:
    end = _chat_event(model, delta={}, finish_reason="stop")
    if usage:
        end += _chat_event(model, usage=_USAGE)
    return end + chunk(b"data: [DONE]\n\n") + LAST_CHUNK


def chat_whole(model: str, text: str) -> bytes:
    """A whole answer in the shape of Poe's chat endpoint."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "chatcmpl-fb8c85d7eb255afe3d1dac01",
        "object": "chat.completion",
        "created": _CREATED,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
    return whole(b"200 OK", orjson.dumps(body))


def chat_stream(model: str, pieces: tuple[str, ...], *, usage: bool) -> bytes:
    """A streamed answer in the shape of Poe's chat endpoint: role, pieces, finish, `[DONE]`."""
    deltas = b"".join([_chat_delta(model, piece) for piece in pieces])
    return _chat_start(model) + deltas + _chat_end(model, usage=usage)


def _bot_event(name: str, data: bytes) -> bytes:
    return chunk(b"event: %b\r\ndata: %b\r\n\r\n" % (name.encode(), data))


_BOT_END = _bot_event("done", b"{}") + LAST_CHUNK


def _bot_text(text: str) -> bytes:
    # As Poe's own server half writes it: blanks after colons, and an escape for every character beyond ASCII.
    return _bot_event("text", json.dumps({"text": text}).encode())


def bot_stream(pieces: tuple[str, ...]) -> bytes:
    """An answer of a bot: one `text` event a piece, then `done`."""
    return _STREAM_HEAD + b"".join([_bot_text(piece) for piece in pieces]) + _BOT_END


_STAMP = cases.STAMP_FORMAT % (0, 0)


def _paced(template: bytes, head: bytes, end: bytes, events: int) -> Paced:
    prefix, suffix = template.split(_STAMP.encode())
    return Paced(head, prefix, suffix, events, end)


def chat_paced(model: str, events: int, *, usage: bool) -> Paced:
    """The paced stream on the chat endpoint."""
    return _paced(_chat_delta(model, _STAMP), _chat_start(model), _chat_end(model, usage=usage), events)


def bot_paced(events: int) -> Paced:
    """The paced stream of a bot."""
    return _paced(_bot_text(_STAMP), _STREAM_HEAD, _BOT_END, events)


def catalogue() -> bytes:
    """The model list in Poe's shape: the models of the bench, on the chat endpoint."""
    names = ("Bench-Short", "Bench-Hundred", "Bench-Paced", "Bench-Faltering")
    return whole(b"200 OK", orjson.dumps({"object": "list", "data": [_model(name) for name in names]}))


def _model(name: str) -> dict[str, object]:
    return {
        "id": name.lower(),
        "object": "model",
        "created": 1770262891433,
        "description": "A model of the bench.",
        "owned_by": "Bench",
        "root": name.lower(),
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "modality": "text->text"},
        "supported_features": [],
        "supported_endpoints": ["/v1/chat/completions"],
        "pricing": None,
        "context_window": {"context_length": 400000, "max_output_tokens": 128000},
        "context_length": 400000,
        "metadata": {"display_name": name, "image": None, "url": f"https://poe.com/{name.lower()}"},
        "reasoning": None,
        "parameters": [],
    }
