"""From the text of a setting to numbers in plain units: seconds, bytes, counts, lists.

Every reader takes text and raises `ValueError` with half a sentence that says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

DAY_SECONDS = 86_400.0
"""No wait is longer."""
LARGEST_BYTES = 1 << 40
_SECONDS_IN = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES_IN = {"": 1, "kib": 1 << 10, "mib": 1 << 20}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15}) ?(kib|mib|)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_SHOWN_LENGTH = 40


def quoted(text: str) -> str:
    """A value as an error may show it: one line, not long."""
    return repr(text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…")


def seconds(text: str) -> float:
    """A duration above nothing: `10`, `0.5`, `500ms`, `30s`, `2m`, `1h`."""
    value = seconds_or_zero(text)
    if not value:
        raise ValueError("must be above 0")
    return value


def seconds_or_zero(text: str) -> float:
    """A duration, in seconds, at most a day."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{quoted(text)} is no duration: write seconds (10, 0.5) or a unit (500ms, 2m, 1h)")
    value = float(found[1]) * _SECONDS_IN[found[2]]
    if value > DAY_SECONDS:
        raise ValueError("must be at most 24h")
    return value


def size(text: str) -> int:
    """A number of bytes: `65536`, `64KiB`, `20MiB`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{quoted(text)} is no size: write bytes (65536) or a unit (64KiB, 20MiB)")
    value = int(found[1]) * _BYTES_IN[found[2].lower()]
    if not 0 < value <= LARGEST_BYTES:
        raise ValueError("must be above 0 and at most 1 TiB")
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if _WHOLE.fullmatch(text) is None or not low <= int(text) <= high:
            raise ValueError(f"{quoted(text)} is no whole number from {low} to {high}")
        return int(text)

    return read


def one_of(words: Collection[str]) -> Callable[[str], str]:
    """A reader of one of some words, upper or lower case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{quoted(text)} is none of {', '.join(words)}")
        return text.lower()

    return read


def switch(text: str) -> bool:
    """`1` or `0`, and the other common words for on and off."""
    word = text.lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(f"{quoted(text)} is neither 1 nor 0")
    return word in ("1", "true", "yes", "on")


def items(text: str) -> list[str]:
    """The items of a list that commas, newlines or blanks separate.

    A comma with nothing before it leaves an empty item; one at the very end does not.
    """
    between_commas = text.split(",")
    if len(between_commas) > 1 and not between_commas[-1].strip():
        between_commas.pop()
    return [item for piece in between_commas for item in (piece.split() or [""])]
