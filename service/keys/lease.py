"""The use of one key for one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import Failure
from service.keys import outcome
from service.keys.account import Key
from service.settings import KeySpec

if TYPE_CHECKING:
    from service.keys.pool import Pool


class Lease:
    """A key, lent for one attempt. Exactly one outcome counts: the first of them; further ones are ignored."""

    __slots__ = ("_key", "_model", "_open", "_pool", "_taken", "key")

    def __init__(self, pool: Pool, key: Key, model: str, taken: float) -> None:
        self.key: KeySpec = key.spec
        self._pool = pool
        self._key = key
        self._model = model
        self._taken = taken
        self._open = True

    def accepted(self) -> None:
        """Poe has begun to answer, so that it has nothing against this key. No outcome, and may be left out."""
        outcome.accepted(self._key, self._model, self._taken)

    def succeeded(self) -> None:
        """The answer came to its proper end."""
        if self._close():
            outcome.accepted(self._key, self._model, self._taken)

    def failed(self, failure: Failure) -> None:
        """The attempt failed; the failure's kind decides whether the key or its account rests."""
        if self._close():
            self._pool.failed(self._key, self._model, failure, taken=self._taken)

    def cancelled(self) -> None:
        """The caller left, or the attempt was given up for a reason that is not the key's."""
        self._close()

    def _close(self) -> bool:
        was_open = self._open
        if was_open:
            self._open = False
            self._pool.open_leases -= 1
        return was_open
