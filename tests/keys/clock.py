"""Pools on a clock that moves only when told, and the shortest way to a lease."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import pytest

from service.errors import Refusal
from service.keys.lease import Lease
from service.keys.pool import Pool
from service.settings import KeySpec


def key(name: str) -> KeySpec:
    """A key whose account is what stands before the slash."""
    return KeySpec(name, name.split("/")[0], f"secret-of-{name}")


def pool_of(clock: Callable[[], float], *names: str, rest_max: float = 600.0, **options: Any) -> Pool:
    """A pool of keys by name, whose rests are as long as they are on average, and whose accounts have no limit."""
    options = {"limit_per_minute": 1_000_000, **options}
    return Pool([key(name) for name in names], rest_max=rest_max, clock=clock, chance=lambda: 0.5, **options)


def take(pool: Pool, model: str = "m", avoid: Set[str] = frozenset(), session: str = "") -> Lease:
    """A lease, without an event loop: one that waited for anything would fail here."""
    coroutine = pool.lease(model, avoid=avoid, session=session)
    try:
        coroutine.send(None)
    except StopIteration as done:
        lease: Lease = done.value
        return lease
    raise AssertionError("a lease waited")


def refused(pool: Pool, model: str = "m", avoid: Set[str] = frozenset()) -> Refusal:
    """What the pool says when it has no key."""
    with pytest.raises(Refusal) as caught:
        take(pool, model, avoid)
    return caught.value


def names(pool: Pool, count: int, model: str = "m") -> list[str]:
    """The keys of the next attempts, each of which succeeds."""
    taken = []
    for _ in range(count):
        lease = take(pool, model)
        taken.append(lease.key.name)
        lease.succeeded()
    return taken
