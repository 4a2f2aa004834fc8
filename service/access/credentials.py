"""Where a caller's token stands in a request: any of the five places that the dialects' clients use."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

_RANKS = {b"authorization": 0, b"x-api-key": 1, b"api-key": 2, b"x-goog-api-key": 3}
_NO_RANK = len(_RANKS)


def token_from(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> bytes | None:
    """The first token that is not empty: `Authorization: Bearer`, `x-api-key`, `api-key`, `x-goog-api-key`, `?key=`.

    `headers` have lower-case names, as ASGI gives them; `query` is the raw query string.
    """
    best, found = _NO_RANK, None
    for name, value in headers:
        rank = _RANKS.get(name)
        if rank is None or rank >= best:
            continue
        token = _bearer(value) if rank == 0 else value.strip()
        if token:
            if rank == 0:
                return token
            best, found = rank, token
    return found or _from_query(query)


def _bearer(value: bytes) -> bytes:
    scheme, _, token = value.strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _from_query(query: bytes) -> bytes | None:
    if b"key=" not in query:
        return None
    for pair in query.split(b"&"):
        # A plus stays a plus: tokens may hold one, but never a blank.
        if pair.startswith(b"key=") and (token := unquote_to_bytes(pair[4:])):
            return token
    return None
