"""Bytes in Poe's own shapes: heads, events and refusals of the chat endpoint and of the bot protocol."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from bench.failover.play import Refused, Wire
from bench.http11 import chunk

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
HALF_AN_EVENT = b'{"id":"chatcmpl-fa110e4","text":" and the wo'
USAGE = {"prompt_tokens": 25, "completion_tokens": 80, "total_tokens": 105}


def whole(status: int, body: object, *headers: tuple[str, str]) -> bytes:
    """A whole answer of JSON."""
    written = orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Service Unavailable')}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, f"content-length: {len(written)}"]).encode() + b"\r\n\r\n" + written


def refusal(refused: Refused, wire: Wire) -> tuple[bytes, bool]:
    """A refusal as a wire tells it, and whether that is a stream."""
    if wire == "bot" and refused.error_type is not None:
        error = {"allow_retry": False, "text": refused.message, "error_type": refused.error_type}
        return STREAM_HEAD + _bot("error", error), True
    headers = [("retry-after", refused.retry_after)] if refused.retry_after is not None else []
    error = {"message": refused.message, "type": refused.type, "param": None, "code": refused.code}
    return whole(refused.status, {"error": error}, *headers), False


def word(wire: Wire, model: str, piece: str) -> bytes:
    """One word of an answer."""
    return _bot("text", {"text": piece}) if wire == "bot" else _chat(model, delta={"content": piece})


def broken(wire: Wire) -> bytes:
    """An event that is no JSON."""
    name = b"event: text\r\n" if wire == "bot" else b""
    return chunk(name + b"data: " + HALF_AN_EVENT + b"\r\n\r\n")


def start(wire: Wire, model: str) -> bytes:
    """What comes before the first word."""
    return b"" if wire == "bot" else _chat(model, delta={"role": "assistant", "content": ""})


def end(wire: Wire, model: str, *, marked: bool) -> bytes:
    """What comes after the last word; only `marked` with its last event."""
    if wire == "bot":
        return _bot("done", {}) if marked else b""
    finish = _chat(model, delta={}, finish_reason="stop") + _chat(model, usage=USAGE)
    return finish + (chunk(b"data: [DONE]\n\n") if marked else b"")


def catalogue(models: Sequence[str]) -> bytes:
    """A list of models in Poe's shape, each on the chat endpoint."""
    return whole(200, {"object": "list", "data": [_model(name) for name in models]})


def _bot(name: str, data: object) -> bytes:
    return chunk(b"event: %b\r\ndata: %b\r\n\r\n" % (name.encode(), orjson.dumps(data)))


def _chat(model: str, **members: object) -> bytes:
    choice = {"index": 0, "delta": members.get("delta"), "finish_reason": members.get("finish_reason")}
    event: dict[str, object] = {
        "id": "chatcmpl-fa110e4",
        "object": "chat.completion.chunk",
        "created": 1774561949,
        "model": model,
        "choices": [] if "usage" in members else [choice],
    }
    if "usage" in members:
        event["usage"] = members["usage"]
    return chunk(b"data: " + orjson.dumps(event) + b"\n\n")


def _model(name: str) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "created": 1770262891433,
        "description": "A model that fails in its own way.",
        "owned_by": "Bench",
        "root": name,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "modality": "text->text"},
        "supported_features": [],
        "supported_endpoints": ["/v1/chat/completions"],
        "pricing": None,
        "context_window": {"context_length": 400000, "max_output_tokens": 128000},
        "context_length": 400000,
        "metadata": {"display_name": name, "image": None, "url": f"https://poe.com/{name}"},
        "reasoning": None,
        "parameters": [],
    }
