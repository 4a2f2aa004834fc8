"""Our ids of tool calls, which carry the upstream's ids inside, so that any machine can map them back.

An id of ours is `call_`, ten random hex digits, then `_` and the upstream's id, or `-` and its base64url where it has
other characters than ids may have. The upstream's are not unique (`getWeather:0` comes back every turn); ours are.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from secrets import token_hex

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OURS = re.compile(r"call_[0-9a-f]{10}(?:_([A-Za-z0-9_-]{1,64})|-([A-Za-z0-9_-]+))")


def mint(upstream_id: str | None) -> str:
    """A new id of ours around the upstream's; bare where the upstream gave none."""
    stem = f"call_{token_hex(5)}"
    if not upstream_id:
        return stem
    if _PLAIN.fullmatch(upstream_id):
        return f"{stem}_{upstream_id}"
    return f"{stem}-{_encode(upstream_id)}"


def original(our_id: str) -> str:
    """The upstream's id inside ours. An id that is not ours, or holds none, comes back unchanged."""
    ours = _OURS.fullmatch(our_id)
    if ours is None:
        return our_id
    plain, coded = ours.groups()
    if plain is not None:
        return str(plain)
    try:
        upstream_id = urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except ValueError:
        return our_id
    return upstream_id if _encode(upstream_id) == coded else our_id


def _encode(upstream_id: str) -> str:
    return urlsafe_b64encode(upstream_id.encode(errors="replace")).rstrip(b"=").decode()
