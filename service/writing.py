"""JSON that can always be written, whatever a caller or a provider put into it.

Some of what a reader of JSON accepts a writer refuses: halves of surrogate pairs, which providers make by cutting
pairs in two, integers of more than 64 bits, and nesting without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

DEEPEST = 200
INTEGERS = range(-(2**63), 2**64)


def as_json(value: Any) -> bytes:
    """The value as JSON. What cannot be written is replaced by what comes nearest."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(mended(value))


def mended(value: Any, depth: int = 0) -> Any:
    """The value with everything in it replaced that cannot be written."""
    if isinstance(value, str):
        return sound_text(value)
    if isinstance(value, int):
        return value if value in INTEGERS else _float(value)
    if isinstance(value, (Mapping, list, tuple)):
        if depth > DEEPEST:
            return None
        if isinstance(value, Mapping):
            return {sound_text(str(name)): mended(part, depth + 1) for name, part in value.items()}
        return [mended(part, depth + 1) for part in value]
    return value


def _float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def sound_text(text: str) -> str:
    """The text with its surrogate pairs put together, and U+FFFD in the place of every half of one."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
