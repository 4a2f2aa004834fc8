"""The commit point: what of the attempts' events reaches the caller, and from when on no other attempt may speak."""

from __future__ import annotations

from service.errors import UPSTREAM_ERROR, Refusal
from service.events import VISIBLE, Event, Finish, size
from service.stages.recovery import Follower, Kept, Known

MAX_COLLECTED_BYTES = 64 * 1024 * 1024
"""Of what lies in memory before the caller gets any of it."""


class Passage:
    """The way of one answer to its caller.

    `holds`: nothing passes before the answer's end is known. `collected`: it is in memory as a whole, here or further
    on, and so must not grow without end. `keeps`: what has passed is kept, so that a second answer can be compared
    with it. `begun`: the attempt under way has shown something visible. `committed`: so has what the caller has.
    """

    def __init__(self, *, holds: bool, collected: bool, keeps: bool) -> None:
        self._holds = holds
        self._collected = collected
        self._kept = Kept() if keeps else None
        self._known: Known | None = None
        self._follower: Follower | None = None
        self._held: list[Event] = []
        self._left_bytes = MAX_COLLECTED_BYTES
        self.begun = False
        self.committed = False

    def attempt(self) -> None:
        """Another attempt begins."""
        self.begun = False
        self._held = []
        self._left_bytes = MAX_COLLECTED_BYTES
        if self._known is not None:
            self._follower = Follower(self._known)

    def feed(self, batch: list[Event]) -> list[Event]:
        """What of an attempt's events goes out now. Raises `DivergedError` where it is another answer, and `Refusal`
        where it is too large."""
        ends = bool(batch) and type(batch[-1]) is Finish
        if not self.begun:
            self.begun = ends or any([isinstance(event, VISIBLE) for event in batch])
        if (self._collected or not self.begun) and (self._held or not ends):  # one piece alone is its wire's to bound
            self._count(batch)
        if self._follower is not None:
            return self._follower.feed(batch)
        if not self.committed:
            self._held += batch
            if not (ends if self._holds else self.begun):
                return []
            self.committed, batch = True, self._held
        if self._kept is not None:
            self._kept.add(batch)
        return batch

    def _count(self, batch: list[Event]) -> None:
        self._left_bytes -= sum([size(event) for event in batch])
        if self._left_bytes < 0:  # another attempt would be paid for, and no smaller
            told = UPSTREAM_ERROR
            raise Refusal(told.status, "The model's answer is too large.", type_=told.type, code=told.code)

    @property
    def recoverable(self) -> bool:
        """Whether all that has passed is known."""
        return self._kept is not None and self._kept.comparable

    @property
    def recovering(self) -> bool:
        """Whether a second answer is on its way."""
        return self._known is not None

    def recover(self) -> None:
        """The next attempt's answer may go on where the first one broke off, if it begins with all of it."""
        assert self._kept is not None
        self._known = self._kept.known()
