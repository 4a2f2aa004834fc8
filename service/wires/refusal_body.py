"""Reading what a refusal says, wherever in its body it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson

from service.wires.scrub import looks_like_html
from service.wires.sse import parse


@dataclass(frozen=True, slots=True)
class Said:
    """The words of a refusal as they came; `number` is a code that is a number, `is_page` that the body is HTML."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    number: int | None = None
    is_page: bool = False


def read_body(body: bytes) -> Said:
    """The words in a body of any kind: JSON, an event stream with an error in it, HTML, plain text."""
    stripped = body.strip(b"\xef\xbb\xbf \t\r\n")
    if stripped.startswith((b"event:", b"data:")):
        frames = stripped.replace(b"\r\n", b"\n") + b"\n\n"
        stripped = next((data for _, data in parse(frames) if data.startswith(b"{")), stripped)
    try:
        payload = orjson.loads(stripped)
    except orjson.JSONDecodeError:
        text = stripped.decode("utf-8", "replace")
        return Said(text, is_page=looks_like_html(text))
    return read_payload(payload)


def read_payload(payload: object) -> Said:
    """The words in the JSON of a refusal, which may be an object, a list of them, or a bare string."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if isinstance(payload, str):
        return Said(payload)
    if not isinstance(payload, dict):
        return Said()
    error = payload.get("error")
    if isinstance(error, dict):
        return _read_members(error)
    if isinstance(error, str) and not isinstance(payload.get("message"), str):
        return replace(_read_members(payload), message=error)
    return _read_members(payload)


def _read_members(error: dict[str, Any]) -> Said:
    code = error.get("code")
    return Said(
        message=_message(error),
        type=_text(error.get("type")) or _text(error.get("error_type")),
        code=_text(code),
        param=_text(error.get("param")),
        number=code if isinstance(code, int) and not isinstance(code, bool) and 100 <= code < 600 else None,
    )


def _message(error: dict[str, Any]) -> str:
    for name in ("message", "text", "detail", "msg", "title"):
        value = error.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = value.get("msg") or value.get("message")
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
