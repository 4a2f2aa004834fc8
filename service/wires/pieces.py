"""Pieces of escaped text: telling cheaply whether they are the insides of good JSON strings."""

from __future__ import annotations

import re

import orjson

PLAIN = re.compile(rb'[^"\\\x00-\x1f]*').fullmatch


def all_sound(pieces: list[bytes]) -> bool:
    """Whether every piece is, by itself, the inside of a JSON string in UTF-8 with no half of a surrogate pair.

    One call of the parser judges all of them. What stands between them holds a line feed, which no string may: so no
    piece can hide the end of its string in its neighbour.
    """
    joined = b"".join(pieces)
    if joined.isascii() and PLAIN(joined) is not None:
        return True
    try:
        values = orjson.loads(b'["%b"]' % b'",\n"'.join(pieces))
        return len(values) == len(pieces) and bool("".join(values) or not joined)
    except (orjson.JSONDecodeError, TypeError):
        return False
