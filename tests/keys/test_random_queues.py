"""Whatever comes in whatever order: no minute over its limit, nobody forgotten or overtaken, no stampede.

Random schedules on a fake clock. Of the requests that get a key 50 % succeed, 14 % are cancelled, 12 % fail for reasons
of Poe, 20 % meet a rate limit (of a model or the account, with and without a time), 4 % find the account dry or the key
revoked. One in five is cancelled on its way, be it in the queue or not; one in eight turns to no more than two keys.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from random import Random
from typing import Any

import pytest

from service.errors import Failure, Kind, Refusal
from service.keys.account import Key
from service.keys.lease import Lease
from service.keys.pool import Pool
from service.keys.queue import Waiter
from service.keys.rest import TRIAL_SECONDS
from service.keys.strategy import STRATEGIES
from service.keys.window import GRAIN_SECONDS
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock
from tests.keys.clock import key

SCHEDULES = 800
PARTS = 4
KEYS = ("a/1", "a/2", "b", "c", "d")
MODELS = ("gpt", "claude", "o3")
LIMIT = 4
QUEUE_LENGTH, QUEUE_WAIT = 12, 25.0
OUTCOMES = ("succeeded", "cancelled", "broken", "told", "untold", "account", "dry", "revoked")
WEIGHTS = (50, 14, 12, 11, 5, 4, 2, 2)


class Watched(Pool):
    """A pool that watches itself, with a simple idea of its own of what may not be."""

    def __init__(self, loop: ClockLoop, chance: Random, strategy: str) -> None:
        super().__init__(
            [key(name) for name in KEYS],
            rest_max=600.0,
            clock=loop.time,
            choose=STRATEGIES[strategy](),
            limit_per_minute=LIMIT,
            queue_length=QUEUE_LENGTH,
            queue_wait=QUEUE_WAIT,
            chance=chance.random,
        )
        self.time = loop.time
        self.sent: dict[str, list[float]] = defaultdict(list)
        self.told: dict[tuple[str, str], float] = {}
        self.halved: dict[tuple[str, str], float] = {}
        self.out: dict[Lease, tuple[str, str, float]] = {}
        self.passed_over: list[Waiter[Lease]] = []
        self.refusals: list[Refusal] = []
        self.most_waiting = 0
        serve = self._queue.serve

        def watched_serve(waiter: Waiter[Lease], item: Lease) -> None:
            for earlier in self._queue:
                if earlier is waiter:
                    break
                assert earlier not in self.passed_over, "somebody was overtaken"
            serve(waiter, item)

        self._queue.serve = watched_serve  # type: ignore[method-assign]

    async def lease(self, model: str, **members: Any) -> Lease:
        lease = await super().lease(model, **members)
        assert lease.waited_seconds <= QUEUE_WAIT + 0.01
        return lease

    def _lend(self, key: Key, model: str, now: float) -> Lease:
        name, account = key.spec.name, key.spec.account
        self.passed_over = [
            waiter for waiter in self._queue if name not in waiter.avoid and key.serves(waiter.model, now)
        ]
        assert self.told.get((name, model), 0.0) <= now, "a rest of Poe's was not kept"
        if (name, model) in self.halved:
            since = self.halved[name, model]
            tries = [taken for lease, (*where, taken) in self.out.items() if lease._open and where == [name, model]]
            tries = [taken for taken in tries if taken > since]
            assert all(began <= now - TRIAL_SECONDS for began in tries), "two tried at once"
        lease = super()._lend(key, model, now)
        self.sent[account].append(now)
        recent = [moment for moment in self.sent[account] if moment > now - 60]
        assert len(recent) <= LIMIT, "over the limit"
        self.out[lease] = (name, model, now)
        return lease

    def unused(self, key: Key, taken: float) -> None:
        self.sent[key.spec.account].remove(taken)
        super().unused(key, taken)

    def check(self) -> None:
        """Nobody in line could be served now."""
        now = self.time()
        self.most_waiting = max(self.most_waiting, self.waiting)
        assert self.waiting <= QUEUE_LENGTH
        for waiter in self._queue:
            assert now <= waiter.deadline + 0.01, "somebody was forgotten"
            for each in self._keys.values():
                free = each.account.blocked_until <= now - 0.01 and each.serves(waiter.model, now - 0.01)
                assert not free or each.spec.name in waiter.avoid, "somebody was not served"


async def request(pool: Watched, chance: Random) -> None:
    """One request: a key, some time, an outcome."""
    model = chance.choice(MODELS)
    avoid = frozenset(chance.sample(KEYS, 3) if chance.random() < 0.125 else ())
    session = chance.choice(("", "s1", "s2"))
    try:
        lease = await pool.lease(model, avoid=avoid, session=session)
    except Refusal as refusal:
        pool.refusals.append(refusal)
        return
    assert lease.key.name not in avoid
    try:
        await asyncio.sleep(chance.choice((0.0, 0.2, 1.0, 8.0)))
        end(pool, lease, chance)
    finally:
        lease.cancelled()


def end(pool: Watched, lease: Lease, chance: Random) -> None:
    """One of the outcomes."""
    name, model, taken = pool.out.pop(lease)
    outcome = chance.choices(OUTCOMES, WEIGHTS)[0]
    now = pool.time()
    match outcome:
        case "succeeded":
            if taken > pool.halved.get((name, model), now):
                del pool.halved[name, model]
            lease.succeeded()
        case "cancelled":
            lease.cancelled()
        case "broken":
            lease.failed(Failure(chance.choice((Kind.BROKEN, Kind.CUT, Kind.SILENT, Kind.BAD_REQUEST)), "no"))
        case "dry":
            lease.failed(Failure(Kind.DRY, "no"))
        case "revoked":
            lease.failed(Failure(Kind.KEY_REVOKED, "no"))
        case _:
            told = None if outcome == "untold" else chance.choice((0.5, 3.0, 40.0))
            if told is not None:
                pool.told[name, model] = now + told
                pool.halved[name, model] = now
            lease.failed(Failure(Kind.RATE_LIMITED, "slow", retry_after=told, account_wide=outcome == "account"))


async def schedule(loop: ClockLoop, seed: int) -> int:
    """Some requests at random times; returns how many waited at once at most."""
    chance = Random(seed)
    pool = Watched(loop, chance, chance.choice(tuple(STRATEGIES)))
    jobs: list[asyncio.Task[None]] = []
    for _ in range(60):
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.0, 0.3, 2.0, 15.0)))
        match chance.randrange(10):
            case 0 | 1 if jobs:
                chance.choice(jobs[-12:]).cancel()
            case 2:
                pool.balance_seen(chance.choice(KEYS), chance.choice((0, 100)), asked=loop.time())
            case _:
                jobs += [asyncio.create_task(request(pool, chance)) for _ in range(chance.choice((1, 1, 5)))]
        await asyncio.sleep(0)
        pool.check()
    ends = await asyncio.gather(*jobs, return_exceptions=True)
    broken = [each for each in ends if isinstance(each, Exception)]
    assert not broken, broken[0]
    pool.check()
    for refusal in pool.refusals:
        assert refusal.status in (402, 429, 502, 503)
        assert (refusal.status in (429, 503)) == (refusal.retry_after is not None)
    assert (pool.open_leases, pool.waiting, pool._queue._timer) == (0, 0, None)
    for account in pool._line:
        await asyncio.sleep(GRAIN_SECONDS)
        account.window.free_at(loop.time())
        recent = [moment for moment in pool.sent[account.keys[0].spec.account] if moment > loop.time() - 60]
        assert len(recent) <= account.window.used <= len(recent) + LIMIT, "a slot was lost"
    await everything_comes_back(loop, pool)
    return pool.most_waiting


async def everything_comes_back(loop: ClockLoop, pool: Watched) -> None:
    """In the end every key serves every model again, by itself."""
    for _ in range(6):
        await asyncio.sleep(3601)
        for spec in pool.due():
            pool.balance_seen(spec.name, 100, asked=loop.time())
    pool.halved.clear()
    for model in MODELS:
        await asyncio.sleep(61)
        assert pool.usable_count(model) == len(KEYS)
        assert all(account.window.used <= LIMIT for account in pool._line)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_schedules_keep_every_promise(part: int) -> None:
    logging.getLogger("service.keys").setLevel(logging.ERROR)
    try:
        waited = 0
        for seed in range(part, SCHEDULES, PARTS):
            try:
                waited += run_on_a_fake_clock(lambda loop, seed=seed: schedule(loop, seed)) > 1
            except AssertionError as problem:
                raise AssertionError(f"schedule {seed}: {problem}") from problem
        assert waited > SCHEDULES / PARTS / 2, "the schedules hardly ever make anybody wait"
    finally:
        logging.getLogger("service.keys").setLevel(logging.NOTSET)
