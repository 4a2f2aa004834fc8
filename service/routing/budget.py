"""The retry budget: what share of a model's requests may be repeats, so that an outage of Poe is not tripled by us."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from service.routing.circuits import Way

WINDOW_SECONDS = 60
FREE_REPEATS = 10
SHARE = 0.2
"""Repeats above the free ones, as a share of the first attempts within the window."""
MAX_WAYS = 1024


class _Counts:
    """First attempts and repeats by one way, second by second."""

    __slots__ = ("firsts", "repeats", "seconds")

    def __init__(self) -> None:
        self.seconds: deque[list[int]] = deque()
        """[second, first attempts in it, repeats in it], the eldest first."""
        self.firsts = 0
        self.repeats = 0

    def at(self, second: int) -> list[int]:
        """The counts of this second; what has left the window is forgotten."""
        seconds = self.seconds
        if seconds and seconds[-1][0] == second:
            return seconds[-1]
        while seconds and seconds[0][0] <= second - WINDOW_SECONDS:
            _, firsts, repeats = seconds.popleft()
            self.firsts -= firsts
            self.repeats -= repeats
        seconds.append([second, 0, 0])
        return seconds[-1]


class RetryBudget:
    """Counts attempts by model and wire. Steps to another key after a key's own failure are no repeats."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ways: OrderedDict[Way, _Counts] = OrderedDict()

    def first(self, way: Way) -> None:
        """A request makes its first attempt by this way."""
        counts = self._counts(way)
        counts.at(int(self._clock()))[1] += 1
        counts.firsts += 1

    def allows(self, way: Way) -> bool:
        """Whether one more repeat is within the budget."""
        counts = self._counts(way)
        counts.at(int(self._clock()))
        return counts.repeats < FREE_REPEATS + SHARE * counts.firsts

    def repeat(self, way: Way) -> None:
        """A request makes another attempt by this way."""
        counts = self._counts(way)
        counts.at(int(self._clock()))[2] += 1
        counts.repeats += 1

    def _counts(self, way: Way) -> _Counts:
        counts = self._ways.get(way)
        if counts is None:
            counts = self._ways[way] = _Counts()
            if len(self._ways) > MAX_WAYS:
                self._ways.popitem(last=False)
        return counts

    def __len__(self) -> int:
        return len(self._ways)
