"""The pool: which key serves the next attempt, and what is known of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from math import inf

from service.errors import Failure
from service.keys import outcome
from service.keys.account import Account, Key, State
from service.keys.lease import Lease
from service.keys.refusal import refusal
from service.keys.strategy import Strategy, round_robin
from service.settings import KeySpec

_NONE: frozenset[str] = frozenset()


class Pool:
    """Accounts and their keys. `rest_max` is in seconds; `clock` tells monotonic seconds.

    `on_probation` is called when a key or an account goes out of use until a probe brings it back.
    `open_leases` counts leases without an outcome.
    """

    def __init__(
        self,
        keys: Sequence[KeySpec],
        *,
        rest_max: float,
        clock: Callable[[], float] = time.monotonic,
        choose: Strategy = round_robin,
    ) -> None:
        accounts: dict[str, Account] = {}
        self._keys: dict[str, Key] = {}
        for spec in keys:
            account = accounts.setdefault(spec.account, Account())
            key = self._keys[spec.name] = Key(spec, account)
            account.keys.append(key)
        if not keys or len(self._keys) != len(keys):
            raise ValueError("a pool needs keys, each with a name of its own")
        self._line = list(accounts.values())
        self._choose = choose
        self._rest_max = rest_max
        self._clock = clock
        self.open_leases = 0
        self.on_probation: Callable[[], None] | None = None

    async def lease(self, model: str, *, avoid: Set[str] = _NONE) -> Lease:
        """A key for one attempt on a model, not one named in `avoid`.

        Raises `Refusal` (402, 404, 429 or 503, and 502 `NoOtherKey` where only `avoid` stands in the way).
        """
        now = self._clock()
        key = self._choose(self._line, model, now, avoid)
        if key is None:
            raise refusal(self._keys.values(), model, now)
        self.open_leases += 1
        return Lease(self, key, model, now)

    def failed(self, key: Key, model: str, failure: Failure, *, taken: float) -> None:
        """What `Lease.failed` tells."""
        began = outcome.failed(key, model, failure, taken=taken, now=self._clock(), longest=self._rest_max)
        if began and self.on_probation is not None:
            self.on_probation()

    def usable_count(self, model: str) -> int:
        """How many keys could serve a model now."""
        now = self._clock()
        return sum(key.account.blocked_until <= now and key.serves(model, now) for key in self._keys.values())

    def states(self) -> Mapping[str, State]:
        """The state of every key by name."""
        now = self._clock()
        return {name: key.state(now) for name, key in self._keys.items()}

    def points(self) -> Mapping[str, int]:
        """The last balance seen with each key, by name; without those that never showed one."""
        return {name: key.points for name, key in self._keys.items() if key.points is not None}

    def keys(self) -> tuple[KeySpec, ...]:
        """Every key."""
        return tuple(key.spec for key in self._keys.values())

    def due(self) -> tuple[KeySpec, ...]:
        """The keys to probe now: the revoked ones whose time has come, and one for each dry account."""
        now = self._clock()
        return tuple(key.spec for probe_at, key in self._probes() if probe_at <= now)

    def next_probe(self) -> float:
        """Seconds until the next key is due; infinity if none is on probation."""
        return min((probe_at for probe_at, _ in self._probes()), default=inf) - self._clock()

    def balance_seen(self, name: str, points: int, *, asked: float) -> None:
        """A probe of a key was answered; it was asked at `asked`."""
        key = self._keys[name]
        now = self._clock()
        outcome.balance(key, points, asked=asked, now=now)
        _postpone(key, now)

    def balance_refused(self, name: str, failure: Failure, *, asked: float) -> None:
        """A probe of a key failed; it was asked at `asked`."""
        key = self._keys[name]
        now = self._clock()
        outcome.no_balance(key, failure, asked=asked, now=now)
        _postpone(key, now)

    def forget(self) -> None:
        """Drop what no longer matters."""
        now = self._clock()
        for key in self._keys.values():
            key.forget(now)

    def _probes(self) -> Iterator[tuple[float, Key]]:
        for key in self._keys.values():
            if key.revoked.active:
                yield key.revoked.probe_at, key
        for account in self._line:
            if account.dry.active and (good := [key for key in account.keys if not key.revoked.active]):
                yield account.dry.probe_at, good[0]


def _postpone(key: Key, now: float) -> None:
    for probation in (key.revoked, key.account.dry):
        if probation.active and probation.probe_at <= now:
            probation.postpone(now)
