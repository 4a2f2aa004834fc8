"""How many requests of one account left in the last minute, and how many more may: our count, and Poe's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count, repeat
from math import inf

WINDOW_SECONDS = 60.0
GRAIN_SECONDS = 0.05
"""Requests so close together are counted as one bucket, at the time of its last: so a window has a bounded size."""
LARGEST_LIMIT = 1_000_000
LONGEST_TOLD_SECONDS = 3600.0
UNTOLD_SECONDS = 2.0
"""How long it is believed that nothing is left, where Poe does not say until when."""


class Bucket:
    """Requests that left within a grain of time."""

    __slots__ = ("began", "count", "last")

    def __init__(self, now: float) -> None:
        self.began = self.last = now
        self.count = 1


class Window:
    """The last minute of an account. No more than `limit` requests leave in any 60 s, unless Poe itself allows more.

    What Poe's headers say counts until the reset that they name; then our own count does. `taken` counts all requests
    ever, so that a word of Poe can be placed among them.
    """

    __slots__ = ("_buckets", "_left", "_told_at", "_told_until", "limit", "taken", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Requests in the buckets, of which some may be older than a minute."""
        self.taken = 0
        self._buckets: deque[Bucket] = deque()
        self._left = 0
        self._told_at = -1
        self._told_until = -inf

    def take(self, now: float) -> bool:
        """Count a request that leaves now; True where it may have been the last that can."""
        buckets = self._buckets
        if buckets and now - buckets[-1].began < GRAIN_SECONDS:
            bucket = buckets[-1]
            bucket.last = now
            bucket.count += 1
        else:
            buckets.append(Bucket(now))
            self._expire(now)
        self.taken += 1
        self.used += 1
        self._left -= 1
        return self._full(now)

    def give_back(self, taken: float) -> None:
        """A request that was counted at `taken` never left."""
        for bucket in reversed(self._buckets):
            if bucket.began <= taken:
                bucket.count -= 1
                self.used -= 1
                break
        self._left += 1

    def told(self, now: float, number: int, limit: int | None, left: int | None, reset: float | None) -> bool:
        """Poe's word in the answer to the request that was the `number`th: it wins over our own count.

        `reset` is in seconds. Those that left after that request are none of those that Poe has counted. The word
        that belongs to the latest request wins, since answers overtake each other. True where nothing may leave now.
        """
        if limit is not None and limit > 0:
            self.limit = min(limit, LARGEST_LIMIT)
        if left is None or left < 0 or (self._told_until > now and number < self._told_at):
            return self._full(now)
        if reset is None:
            reset = 0.0 if left else UNTOLD_SECONDS
        self._told_at = number
        self._told_until = now + min(reset, LONGEST_TOLD_SECONDS)
        self._left = min(left, LARGEST_LIMIT) - (self.taken - number)
        return self._full(now)

    def free_at(self, now: float) -> float:
        """When the next request may leave: `now` or earlier where it may at once."""
        return next(self.slots(now), inf)

    def slots(self, now: float) -> Iterator[float]:
        """When one request after the other may leave, without end: who leaves makes room a minute later."""
        self._expire(now)
        floor = now
        if self._told_until > now:
            yield from repeat(now, self._left)
            floor = self._told_until  # and after Poe's reset our own count holds: what has left stays in it
        for minutes in count():
            for moment, places in self._runs(now):
                yield from repeat(max(moment, floor) + minutes * WINDOW_SECONDS, places)

    def _runs(self, now: float) -> Iterator[tuple[float, int]]:
        """By our own count: moments at which places for as many requests as the limit come free."""
        over = self.used - self.limit
        yield now, -over
        for bucket in self._buckets:
            yield bucket.last + WINDOW_SECONDS, bucket.count - max(over, 0)
            over -= bucket.count if over > 0 else 0

    def _full(self, now: float) -> bool:
        return self._left <= 0 if self._told_until > now else self.used >= self.limit

    def _expire(self, now: float) -> None:
        buckets = self._buckets
        while buckets and buckets[0].last <= now - WINDOW_SECONDS:
            self.used -= buckets.popleft().count
