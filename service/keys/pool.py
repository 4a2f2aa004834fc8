"""The pool: which key serves the next attempt, and what is known of all of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from math import inf

from service.errors import Failure, Refusal
from service.keys import outcome
from service.keys.account import DEFAULT_LIMIT, Account, Key, State
from service.keys.lease import Lease
from service.keys.queue import Queue, Waiter
from service.keys.refusal import Outlook, outlook, refusal
from service.keys.strategy import Strategy, round_robin
from service.settings import KeySpec

DEFAULT_QUEUE_LENGTH = 100
DEFAULT_QUEUE_WAIT = 10.0
SOON_SECONDS = 0.01
"""A rest that ends so soon is waited for: whoever slept through it may have woken a little early."""
_NONE: frozenset[str] = frozenset()


class Pool:
    """Accounts and their keys. `rest_max` is in seconds; `clock` tells monotonic seconds.

    Each account sends at most `limit_per_minute` requests in any minute. What comes too soon waits in a queue of at
    most `queue_length`, for at most `queue_wait` seconds. `chance` tells numbers from 0 to 1, which spread rests.
    `on_probation` is called when a key or an account goes out of use until a probe brings it back.
    """

    def __init__(
        self,
        keys: Sequence[KeySpec],
        *,
        rest_max: float,
        clock: Callable[[], float] = time.monotonic,
        choose: Strategy = round_robin,
        limit_per_minute: int = DEFAULT_LIMIT,
        queue_length: int = DEFAULT_QUEUE_LENGTH,
        queue_wait: float = DEFAULT_QUEUE_WAIT,
        chance: Callable[[], float] = random.random,
    ) -> None:
        accounts: dict[str, Account] = {}
        self._keys: dict[str, Key] = {}
        for spec in keys:
            account = accounts.get(spec.account)
            if account is None:
                account = accounts[spec.account] = Account(limit_per_minute)
            key = self._keys[spec.name] = Key(spec, account)
            account.keys.append(key)
        if not keys or len(self._keys) != len(keys):
            raise ValueError("a pool needs keys, each with a name of its own")
        self._line = list(accounts.values())
        self._choose = choose
        self._rest_max = rest_max
        self._clock = clock
        self._chance = chance
        self._queue_wait = queue_wait
        self._queue: Queue[Lease] = Queue(queue_length, clock, self.look)
        self.on_probation: Callable[[], None] | None = None

    async def lease(self, model: str, *, avoid: Set[str] = _NONE, session: str = "") -> Lease:
        """A key for one attempt on a model, not one named in `avoid`; `session` names the conversation, if known.

        Waits where every usable account has used its rate, or where what came back from a rest is being tried.
        Raises `Refusal` (402, 404, 429 or 503, and 502 `NoOtherKey` where only `avoid` stands in the way).
        """
        now = self._clock()
        if now >= self._queue.wakes_at:
            self.look()  # those in line come first
        key = self._choose(self._line, model, now, avoid, session)
        if key is not None:
            return self._lend(key, model, now)
        return await self._wait(model, frozenset(avoid), session, now)

    def _lend(self, key: Key, model: str, now: float) -> Lease:
        key.open += 1
        account = key.account
        window = account.window
        full = window.take(now)
        lease = Lease(self, key, model, now, window.taken)
        if key.troubled or account.troubled:
            lease.trials = key.pauses(model)
            for pause in lease.trials:
                pause.attempt(lease, now)
            account.settle(now)
        elif full:
            account.settle(now)
        return lease

    async def _wait(self, model: str, avoid: frozenset[str], session: str, now: float) -> Lease:
        queue = self._queue
        why = outlook(self._keys.values(), model, now, avoid, ahead=len(queue))
        worth_it = why.turn - now <= self._queue_wait or why.rested - now <= SOON_SECONDS
        if queue.full or not worth_it:
            raise refusal(why, now)
        waiter: Waiter[Lease] = Waiter(model, avoid, session, now + self._queue_wait)
        queue.join(waiter)
        queue.wake_at(min(queue.wakes_at, why.soonest, why.rested, waiter.deadline))
        try:
            lease = await waiter.turn
        except asyncio.CancelledError:
            queue.leave(waiter)
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                waiter.turn.result().unused()
            raise
        lease.waited_seconds = self._clock() - now
        return lease

    def look(self) -> None:
        """See who in line can have a turn by now, and send away who has waited for too long or in vain."""
        queue = self._queue
        if not queue:
            return
        now, wakes_at = self._clock(), inf
        stuck: dict[tuple[str, frozenset[str]], Outlook] = {}
        for waiter in queue:
            wish = (waiter.model, waiter.avoid)
            if wish not in stuck:
                key = self._choose(self._line, waiter.model, now, waiter.avoid, waiter.session)
                if key is not None:
                    queue.serve(waiter, self._lend(key, waiter.model, now))
                    continue
                why = stuck[wish] = outlook(self._keys.values(), waiter.model, now, waiter.avoid)
                wakes_at = min(wakes_at, why.soonest, why.rested)
            why = stuck[wish]
            in_vain = why.soonest == inf and why.rested - now > SOON_SECONDS
            if now >= waiter.deadline or in_vain:
                queue.refuse(waiter, refusal(why, now))
            else:
                wakes_at = min(wakes_at, waiter.deadline)
        queue.wake_at(wakes_at if queue else inf)

    def soonest(self, model: str, avoid: Set[str] = _NONE) -> float:
        """Seconds until some key not in `avoid` could serve a model; infinity where time alone brings none back."""
        now = self._clock()
        keys = [key for key in self._keys.values() if key.spec.name not in avoid]
        why = outlook(keys, model, now, _NONE)
        return max(0.0, min(why.soonest, why.rested) - now)

    def refusal(self, model: str) -> Refusal:
        """What all keys together have to say of a model for which none can be had."""
        now = self._clock()
        return refusal(outlook(self._keys.values(), model, now, _NONE), now)

    def accepted(self, key: Key, model: str, lease: Lease, *, taken: float) -> None:
        """What `Lease.accepted` and `Lease.succeeded` tell of a key in trouble."""
        outcome.accepted(key, model, lease, taken=taken, now=self._clock())
        self.look()

    def failed(self, key: Key, model: str, failure: Failure, *, taken: float) -> None:
        """What `Lease.failed` tells."""
        began = outcome.failed(
            key, model, failure, taken=taken, now=self._clock(), longest=self._rest_max, chance=self._chance()
        )
        self.look()
        if began and self.on_probation is not None:
            self.on_probation()

    def rates(self, key: Key, number: int, limit: int | None, remaining: int | None, reset: float | None) -> None:
        """What `Lease.rates` tells, in the answer to the account's `number`th request."""
        now = self._clock()
        account = key.account
        if account.window.told(now, number, limit, remaining, reset) or account.blocked_until > now:
            account.settle(now)
            self.look()

    def tried(self, lease: Lease, key: Key) -> None:
        """A lease that held the place of a trial is over."""
        for pause in lease.trials or ():
            pause.attempted(lease)
        key.account.settle(self._clock())
        self.look()

    def unused(self, key: Key, taken: float) -> None:
        """A lease taken at `taken` was not used."""
        key.account.window.give_back(taken)
        key.account.settle(self._clock())
        self.look()

    @property
    def open_leases(self) -> int:
        """Leases without an outcome."""
        return sum([key.open for key in self._keys.values()])

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def usable_count(self, model: str) -> int:
        """How many keys could serve a model now."""
        now = self._clock()
        return sum(key.account.blocked_until <= now and key.serves(model, now) for key in self._keys.values())

    def states(self) -> Mapping[str, State]:
        """The state of every key by name."""
        now = self._clock()
        return {name: key.state(now) for name, key in self._keys.items()}

    def points(self) -> Mapping[str, int]:
        """The last balance seen of each key's account, by the key's name; without those that never showed one."""
        balances = ((name, key.account.points) for name, key in self._keys.items())
        return {name: points for name, points in balances if points is not None}

    def to_poll(self) -> tuple[KeySpec, ...]:
        """A key of each account, the one that was used longest ago; not of those whose keys are all revoked."""
        working = ([key for key in account.keys if not key.revoked.active] for account in self._line)
        return tuple(keys[0].spec for keys in working if keys)

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
        self.look()

    def balance_refused(self, name: str, failure: Failure, *, asked: float) -> None:
        """A probe of a key failed; it was asked at `asked`."""
        key = self._keys[name]
        now = self._clock()
        outcome.no_balance(key, failure, asked=asked, now=now)
        _postpone(key, now)
        self.look()

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
