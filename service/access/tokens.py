"""Access tokens: from what a caller shows to its tenant."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from math import inf

from service.settings import TokenSpec


class Tokens:
    """All tokens, as SHA-256 digests. Every lookup compares with each of them in constant time."""

    __slots__ = ("_entries",)

    def __init__(self, specs: Iterable[TokenSpec]) -> None:
        self._entries = tuple((spec.digest, spec.name, inf if spec.ends is None else spec.ends) for spec in specs)

    def tenant_for(self, token: bytes | str, now: float) -> str | None:
        """The tenant of a token, None for one that is unknown or has ended; `now` is in seconds since 1970."""
        digest = sha256(token if isinstance(token, bytes) else token.encode("utf-8", "replace")).digest()
        tenant = None
        for known, name, ends in self._entries:
            if compare_digest(known, digest) and now < ends:
                tenant = name
        return tenant

    def __len__(self) -> int:
        return len(self._entries)
