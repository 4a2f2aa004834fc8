"""Pauses that end: a rest passes by itself, a probation only when a free probe brings good news.

All moments are seconds of one monotonic clock. What a lease tells counts only if the lease was taken after the pause
began: ten requests that set out together and are refused together make one refusal, not ten.
"""

from __future__ import annotations

from math import inf

FIRST_REST_SECONDS = 2.0
SHORTEST_TOLD_SECONDS = 0.1
LONGEST_TOLD_SECONDS = 3600.0
"""A `Retry-After` of Poe is kept up to here."""
FORGET_SECONDS = 600.0
"""So long after its end a rest no longer makes the next one longer."""


class Rest:
    """Until when something rests, and how long the next rest without a time of Poe's own would be."""

    __slots__ = ("_pause", "_since", "uncovered", "until")

    def __init__(self) -> None:
        self.until = -inf
        self.uncovered = False
        self._since = -inf
        self._pause = 0.0

    def begin(self, now: float, *, taken: float, told: float | None, longest: float) -> None:
        """Rest after a refusal of a lease taken at `taken`; `told` is how long, if Poe said."""
        if self.uncovered and self.until > now:
            return
        self.uncovered = False
        if told is not None:
            self.until = now + min(max(told, SHORTEST_TOLD_SECONDS), LONGEST_TOLD_SECONDS)
        elif taken > self._since:
            self._pause = self._next_pause(now, longest)
            self.until = now + self._pause
        else:
            self.until = max(self.until, now + self._pause)
            return
        self._since = now

    def begin_uncovered(self, now: float, seconds: float) -> None:
        """Rest because the key's plan does not cover the model."""
        self.uncovered = True
        self.until = now + seconds
        self._since = now

    def outlived_by(self, taken: float) -> bool:
        """Whether a success of a lease taken then is news to this rest."""
        return taken > self._since

    def trust(self, taken: float) -> None:
        """A success of a lease taken at `taken`: the next rest starts small again."""
        if taken > self._since:
            self._pause = 0.0

    def forgotten(self, now: float) -> bool:
        """Whether it ended so long ago that nothing of it matters."""
        return now > self.until + FORGET_SECONDS

    def _next_pause(self, now: float, longest: float) -> float:
        if not self._pause or self.forgotten(now):
            return min(FIRST_REST_SECONDS, longest)
        return min(self._pause * 2, longest)


class Probation:
    """A key that is revoked or an account that is dry: out of use, and probed at growing distances."""

    __slots__ = ("_first", "_longest", "_pause", "_since", "active", "probe_at")

    def __init__(self, first: float, longest: float) -> None:
        self.active = False
        self.probe_at = inf
        self._first = first
        self._longest = longest
        self._pause = 0.0
        self._since = -inf

    def begin(self, now: float, *, taken: float) -> bool:
        """Go out of use, after a failure of something that began at `taken`; False where that is no news."""
        if self.active or taken < self._since:
            return False
        self.active = True
        self._since = now
        self.postpone(now)
        return True

    def postpone(self, now: float) -> None:
        """The next probe, twice as far away as the one before."""
        self._pause = min(self._pause * 2 or self._first, self._longest)
        self.probe_at = now + self._pause

    def end(self, now: float, *, asked: float) -> bool:
        """Back into use after a good probe that was asked at `asked`; False where that is no news."""
        if not self.active or asked < self._since:
            return False
        self.active = False
        self.probe_at = inf
        self._since = now
        return True

    def trust(self, taken: float) -> None:
        """A success of a lease taken at `taken`: the next probation starts small again."""
        if not self.active and taken > self._since:
            self._pause = 0.0
