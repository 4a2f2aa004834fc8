"""A bounded map whose entries are forgotten after a while: where lessons from answers are kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key, each for `ttl_seconds` after it was put; over `limit` the one put longest ago goes first."""

    def __init__(self, *, ttl_seconds: float, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl_seconds
        self._limit = limit
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def put(self, key: K, value: V) -> None:
        """Keep `value`; a key that is known starts its time anew."""
        self._entries.pop(key, None)
        self._entries[key] = (self._clock(), value)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def get(self, key: K) -> V | None:
        """The value, or None if it was never put or is too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() - entry[0] < self._ttl:
            return entry[1]
        del self._entries[key]
        return None

    def age(self, key: K) -> float | None:
        """Seconds since the value was put, or None as for `get`."""
        return None if self.get(key) is None else self._clock() - self._entries[key][0]

    def forget(self, key: K) -> None:
        """Drop the value, if there is one."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
