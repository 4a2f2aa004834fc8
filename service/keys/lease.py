"""The use of one key for one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import Failure
from service.keys.account import Key
from service.keys.rest import Pause
from service.settings import KeySpec

if TYPE_CHECKING:
    from service.keys.pool import Pool


class Lease:
    """A key, lent for one attempt. Exactly one outcome counts: the first of them; further ones are ignored.

    `waited_seconds` is how long it waited for its turn. `trials` are the pauses whose half-open place it holds.
    """

    __slots__ = ("_key", "_model", "_number", "_open", "_pool", "_taken", "key", "trials", "waited_seconds")

    def __init__(self, pool: Pool, key: Key, model: str, taken: float, number: int) -> None:
        self.key: KeySpec = key.spec
        self.waited_seconds = 0.0
        self.trials: list[Pause] | None = None
        self._pool = pool
        self._key = key
        self._model = model
        self._taken = taken
        self._number = number
        self._open = True

    def accepted(self) -> None:
        """Poe has begun to answer, so that it has nothing against this key. No outcome, and may be left out."""
        key = self._key
        if key.troubled or key.account.troubled:
            self._pool.accepted(key, self._model, self, taken=self._taken)

    def rates(self, limit: int | None, remaining: int | None, reset_seconds: float | None) -> None:
        """What Poe's answer says of the account's rate: requests a minute, how many are left, and until when."""
        self._pool.rates(self._key, self._number, limit, remaining, reset_seconds)

    def succeeded(self) -> None:
        """The answer came to its proper end."""
        if self._open:
            key = self._key
            if key.troubled or key.account.troubled:
                self._pool.accepted(key, self._model, self, taken=self._taken)
            self._close()

    def failed(self, failure: Failure) -> None:
        """The attempt failed; the failure's kind decides whether the key or its account rests."""
        if self._open:
            self._pool.failed(self._key, self._model, failure, taken=self._taken)
            self._close()

    def cancelled(self) -> None:
        """The caller left, or the attempt was given up for a reason that is not the key's."""
        if self._open:
            self._close()

    def unused(self) -> None:
        """Nothing was sent: its share of the account's rate goes back, too."""
        if self._open:
            self._pool.unused(self._key, self._taken)
            self._close()

    def _close(self) -> None:
        self._open = False
        self._key.open -= 1
        if self.trials is not None:
            self._pool.tried(self, self._key)
