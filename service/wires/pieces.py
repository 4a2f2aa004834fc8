"""Pieces of escaped text: telling cheaply whether they are the insides of good JSON strings."""

from __future__ import annotations

import re

PLAIN = re.compile(rb'[^"\\\x00-\x1f]*').fullmatch
ESCAPED = re.compile(
    rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    rb"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})[^\"\\\x00-\x1f]*)*"
).fullmatch


def all_sound(pieces: list[bytes]) -> bool:
    """Whether every piece is, by itself, the inside of a JSON string in UTF-8 with no half of a surrogate pair."""
    joined = b"".join(pieces)
    if PLAIN(joined) is None and not all(ESCAPED(piece) for piece in pieces):
        return False
    if joined.isascii():
        return True
    try:
        for piece in pieces:
            piece.decode()
    except UnicodeDecodeError:
        return False
    return True
