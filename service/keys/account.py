"""What the pool knows of each account and each key."""

from __future__ import annotations

from math import inf
from typing import Literal

from service.keys.rest import Probation, Rest
from service.settings import KeySpec

State = Literal["usable", "limited", "resting", "dry", "revoked"]
STATES: tuple[State, ...] = ("usable", "limited", "resting", "dry", "revoked")
"""`limited`: some models rest on this key; `resting`: all of them."""

MOST_RESTS = 512
"""Models that one key remembers as resting."""
DRY_PROBE_SECONDS = 60.0
REVOKED_PROBE_SECONDS = 15.0
LONGEST_PROBE_SECONDS = 600.0


class Account:
    """A Poe account: points and the rate limit are its own, whichever of its keys is used.

    `blocked_until` is all that choosing a key looks at: infinity while dry, else the end of the rest.
    `refused` is the model that met the last rate limit, and when.
    """

    __slots__ = ("blocked_until", "dry", "keys", "refused", "rest")

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.dry = Probation(DRY_PROBE_SECONDS, LONGEST_PROBE_SECONDS)
        self.rest = Rest()
        self.refused: tuple[str, float] | None = None
        self.blocked_until = -inf

    def settle(self) -> None:
        """Bring `blocked_until` up to date."""
        self.blocked_until = inf if self.dry.active else self.rest.until


class Key:
    """A key of the pool, with the models that rest on it."""

    __slots__ = ("account", "points", "rests", "revoked", "spec")

    def __init__(self, spec: KeySpec, account: Account) -> None:
        self.spec = spec
        self.account = account
        self.revoked = Probation(REVOKED_PROBE_SECONDS, LONGEST_PROBE_SECONDS)
        self.rests: dict[str, Rest] = {}
        self.points: int | None = None

    def serves(self, model: str, now: float) -> bool:
        """Whether this key, its account aside, can be used for a model."""
        if self.revoked.active:
            return False
        if not self.rests:
            return True
        rest = self.rests.get(model)
        return rest is None or rest.until <= now

    def rest_of(self, model: str, now: float) -> Rest:
        """The rest of a model, made where there is none; the map stays bounded."""
        rest = self.rests.get(model)
        if rest is None:
            if len(self.rests) >= MOST_RESTS:
                self.forget(now)
            if len(self.rests) >= MOST_RESTS:
                del self.rests[min(self.rests, key=lambda name: self.rests[name].until)]
            rest = self.rests[model] = Rest()
        return rest

    def forget(self, now: float) -> None:
        """Drop the rests that no longer matter."""
        for model in [model for model, rest in self.rests.items() if rest.forgotten(now)]:
            del self.rests[model]

    def state(self, now: float) -> State:
        """One word for the whole key."""
        if self.revoked.active:
            return "revoked"
        if self.account.dry.active:
            return "dry"
        if self.account.blocked_until > now:
            return "resting"
        return "limited" if any(rest.until > now for rest in self.rests.values()) else "usable"
