"""Pauses that end: a rest passes by itself, a probation only when a free probe brings good news.

All moments are seconds of one monotonic clock. What a lease tells counts only if the lease was taken after the pause
began: ten requests that set out together and are refused together make one refusal, not ten.

What comes back from a pause is half-open: one request tries it, and the others follow when that one is not refused.
"""

from __future__ import annotations

from math import inf

FIRST_REST_SECONDS = 2.0
JITTER = 0.2
"""The share by which a rest without a time of Poe's own may be shorter or longer, so that not all return at once."""
SHORTEST_TOLD_SECONDS = 0.1
LONGEST_TOLD_SECONDS = 3600.0
"""A `Retry-After` of Poe is kept up to here."""
FORGET_SECONDS = 600.0
"""So long after its end a rest no longer makes the next one longer."""
TRIAL_SECONDS = 5.0
"""A refusal comes at once. After so long without one the next request may try, while the first is still at work."""


class Pause:
    """What rests and probations share: the time after them.

    `unproven` is set from the beginning of a pause until a request succeeds after it. `trial_until`: how long the
    place of the one request that tries is taken.
    """

    __slots__ = ("_pause", "_since", "_trial", "trial_until", "unproven")

    def __init__(self) -> None:
        self.unproven = False
        self.trial_until = -inf
        self._trial: object = None
        self._since = -inf
        self._pause = 0.0

    def attempt(self, lease: object, now: float) -> None:
        """A lease takes the place of the one that tries."""
        self._trial = lease
        self.trial_until = now + TRIAL_SECONDS

    def attempted(self, lease: object) -> None:
        """The lease is over, however it went: its place, if it has it still, is free."""
        if self._trial is lease:
            self._trial = None
            self.trial_until = -inf

    def outlived_by(self, lease: object, taken: float) -> bool:
        """Whether a success of a lease taken at `taken` is news to this pause."""
        return taken > self._since or self._trial is lease

    def trust(self, lease: object, taken: float) -> None:
        """A lease taken at `taken` succeeded: all may follow, and the next pause starts small again."""
        if self.outlived_by(lease, taken):
            self._pause = 0.0
            self._back()

    @property
    def calm(self) -> bool:
        """Whether a success has nothing to tell it."""
        return not self.unproven and not self._pause

    def _out(self, now: float) -> None:
        self._since = now
        self.unproven = True
        self._trial = None
        self.trial_until = -inf

    def _back(self) -> None:
        self.unproven = False
        self._trial = None
        self.trial_until = -inf


class Rest(Pause):
    """Until when something rests, and how long the next rest without a time of Poe's own would be."""

    __slots__ = ("uncovered", "until")

    def __init__(self) -> None:
        super().__init__()
        self.until = -inf
        self.uncovered = False

    @property
    def blocked_until(self) -> float:
        """The end of the rest, or of the trial after it."""
        return max(self.until, self.trial_until)

    def begin(self, now: float, *, taken: float, told: float | None, longest: float, chance: float = 0.5) -> None:
        """Rest after a refusal of a lease taken at `taken`; `told` is how long, if Poe said.

        `chance`, from 0 to 1, is where in its range a rest without a time of Poe's own lies.
        """
        if self.uncovered and self.until > now:
            return
        self.uncovered = False
        if told is not None:
            self.until = now + min(max(told, SHORTEST_TOLD_SECONDS), LONGEST_TOLD_SECONDS)
        elif taken > self._since:
            self._pause = self._next_pause(now, longest)
            self.until = now + min(self._pause * (1 + JITTER * (2 * chance - 1)), longest)
        else:
            self.until = max(self.until, now + self._pause)
            return
        self._out(now)

    def begin_uncovered(self, now: float, seconds: float) -> None:
        """Rest because the key's plan does not cover the model."""
        self.uncovered = True
        self.until = now + seconds
        self._out(now)

    def forgotten(self, now: float) -> bool:
        """Whether it ended so long ago that nothing of it matters."""
        return now > self.until + FORGET_SECONDS

    def _next_pause(self, now: float, longest: float) -> float:
        if not self._pause or self.forgotten(now):
            return min(FIRST_REST_SECONDS, longest)
        return min(self._pause * 2, longest)


class Probation(Pause):
    """A key that is revoked or an account that is dry: out of use, and probed at growing distances."""

    __slots__ = ("_first", "_longest", "active", "probe_at")

    def __init__(self, first: float, longest: float) -> None:
        super().__init__()
        self.active = False
        self.probe_at = inf
        self._first = first
        self._longest = longest

    def begin(self, now: float, *, taken: float) -> bool:
        """Go out of use, after a failure of something that began at `taken`; False where that is no news."""
        if self.active or taken < self._since:
            return False
        self.active = True
        self._out(now)
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

    def trust(self, lease: object, taken: float) -> None:
        """A success while on probation says nothing."""
        if not self.active:
            super().trust(lease, taken)
