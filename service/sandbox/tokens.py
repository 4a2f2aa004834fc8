"""A rough count of tokens, close to what Poe reports on chat completions for plain prose."""

from __future__ import annotations

import re

# Poe counts visible text with a byte-pair tokeniser (poe.md 12.3). Short words are one token, long ones two or three,
# a blank before a digit is one of its own, and each letter outside ASCII counts for itself.
_PIECES = re.compile(r"[A-Z]?[a-z]{1,9}|[A-Z]{1,3}|[^\W\d_]| (?=\d)|\d{1,3}|[^\w\s]{1,3}|_+|\n+")


def count_tokens(text: str) -> int:
    """How many tokens `text` has, within some twenty percent for English."""
    return len(_PIECES.findall(text))


def take_tokens(text: str, limit: int) -> str:
    """The beginning of `text` that has at most `limit` tokens; all of it where it is short enough."""
    for number, piece in enumerate(_PIECES.finditer(text)):
        if number == limit:
            return text[: piece.start()].rstrip()
    return text
