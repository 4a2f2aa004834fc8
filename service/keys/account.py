"""What the pool knows of each account and each key."""

from __future__ import annotations

from math import inf
from typing import Literal

from service.keys.rest import Pause, Probation, Rest
from service.keys.window import Window
from service.settings import KeySpec

State = Literal["usable", "limited", "resting", "dry", "revoked"]
STATES: tuple[State, ...] = ("usable", "limited", "resting", "dry", "revoked")
"""`limited`: some models rest on this key; `resting`: all of them, or the account has used its rate."""

MOST_RESTS = 512
"""Models that one key remembers as resting."""
DEFAULT_LIMIT = 500
DRY_PROBE_SECONDS = 60.0
REVOKED_PROBE_SECONDS = 15.0
LONGEST_PROBE_SECONDS = 600.0


class Account:
    """A Poe account: points and the rate limit are its own, whichever of its keys is used.

    `blocked_until` is all that choosing a key looks at: infinity while dry, else the end of the rest, of a trial after
    it, or `shaped_until`, the moment at which its rate lets the next request leave. `troubled`: a success has
    something to tell it. `refused` is the model that met the last rate limit, and when. `points` is the last balance
    seen.
    """

    __slots__ = ("blocked_until", "dry", "keys", "points", "refused", "rest", "shaped_until", "troubled", "window")

    def __init__(self, limit_per_minute: int = DEFAULT_LIMIT) -> None:
        self.keys: list[Key] = []
        self.dry = Probation(DRY_PROBE_SECONDS, LONGEST_PROBE_SECONDS)
        self.rest = Rest()
        self.window = Window(limit_per_minute)
        self.refused: tuple[str, float] | None = None
        self.points: int | None = None
        self.blocked_until = -inf
        self.shaped_until = -inf
        self.troubled = False

    def settle(self, now: float) -> None:
        """Bring up to date what is derived."""
        self.troubled = not (self.rest.calm and self.dry.calm and self.refused is None)
        if self.dry.active:
            self.blocked_until = inf
        else:
            free_at = self.window.free_at(now)
            self.shaped_until = free_at if free_at > now else -inf
            self.blocked_until = max(self.rest.blocked_until, self.dry.trial_until, self.shaped_until)

    def pauses(self) -> list[Pause]:
        """What of it is on its way back into use."""
        return [pause for pause in (self.rest, self.dry) if pause.unproven]


class Key:
    """A key of the pool, with the models that rest on it. `troubled`: a success has something to tell it."""

    __slots__ = ("account", "open", "rests", "revoked", "spec", "troubled")

    def __init__(self, spec: KeySpec, account: Account) -> None:
        self.spec = spec
        self.account = account
        self.revoked = Probation(REVOKED_PROBE_SECONDS, LONGEST_PROBE_SECONDS)
        self.rests: dict[str, Rest] = {}
        self.open = 0
        """Leases without an outcome."""
        self.troubled = False

    def serves(self, model: str, now: float) -> bool:
        """Whether this key, its account aside, can be used for a model."""
        if not self.troubled:
            return True
        if self.revoked.active or self.revoked.trial_until > now:
            return False
        rest = self.rests.get(model)
        return rest is None or rest.blocked_until <= now

    def settle(self) -> None:
        """Bring up to date what is derived."""
        self.troubled = bool(self.rests) or not self.revoked.calm

    def pauses(self, model: str) -> list[Pause]:
        """What of it and of its account is on its way back into use, as far as it concerns a model."""
        found = self.account.pauses()
        if self.revoked.unproven:
            found.append(self.revoked)
        if model in self.rests:
            found.append(self.rests[model])
        return found

    def rest_of(self, model: str, now: float) -> Rest:
        """The rest of a model, made where there is none; the map stays bounded."""
        rest = self.rests.get(model)
        if rest is None:
            if len(self.rests) >= MOST_RESTS:
                self.forget(now)
            if len(self.rests) >= MOST_RESTS:
                del self.rests[min(self.rests, key=lambda name: self.rests[name].until)]
            rest = self.rests[model] = Rest()
            self.troubled = True
        return rest

    def forget(self, now: float) -> None:
        """Drop the rests that no longer matter."""
        for model in [model for model, rest in self.rests.items() if rest.forgotten(now)]:
            del self.rests[model]
        self.settle()

    def state(self, now: float) -> State:
        """One word for the whole key."""
        if self.revoked.active:
            return "revoked"
        if self.account.dry.active:
            return "dry"
        if max(self.account.rest.until, self.account.shaped_until) > now:
            return "resting"
        return "limited" if any(rest.until > now for rest in self.rests.values()) else "usable"
