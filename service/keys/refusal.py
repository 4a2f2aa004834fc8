"""What a caller is told when no key can be used (interface: errors)."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from service.errors import Refusal
from service.keys.account import Key

SOONEST_SECONDS = 1.0
"""What a caller is told to wait where a probe is due already."""


class NoOtherKey(Refusal):
    """Keys could be used, but every one of them was to be avoided: this request has tried them all."""

    def __init__(self) -> None:
        super().__init__(
            502, "Every usable Poe key has failed this request.", type_="server_error", code="upstream_error"
        )


def refusal(keys: Iterable[Key], model: str, now: float) -> Refusal:
    """Why none of `keys` can be used: the reason that passes soonest speaks, with the time when it does."""
    resting, next_probe = inf, inf
    dry = free = False
    for key in keys:
        rest = key.rests.get(model)
        until = max(key.account.rest.until, -inf if rest is None else rest.until)
        if key.revoked.active:
            next_probe = min(next_probe, key.revoked.probe_at)
        elif key.account.dry.active:
            dry = True
        elif until <= now:
            free = True
        elif rest is None or not rest.uncovered or rest.until <= now:
            resting = min(resting, until)
    if free:
        return NoOtherKey()
    if resting < inf:
        return _rate_limited(resting - now)
    if dry:
        return _dry()
    if next_probe < inf:
        return _revoked(max(next_probe - now, SOONEST_SECONDS))
    return _uncovered()


def _rate_limited(seconds: float) -> Refusal:
    return Refusal(
        429,
        f"Every usable Poe key is resting after a rate limit of Poe; try again in {seconds:.0f} s.",
        type_="rate_limit_error",
        code="upstream_rate_limited",
        retry_after=seconds,
        should_retry=True,
    )


def _dry() -> Refusal:
    return Refusal(
        402,
        "Every Poe account behind this gateway is out of points.",
        type_="insufficient_quota",
        code="insufficient_points",
    )


def _revoked(seconds: float) -> Refusal:
    return Refusal(
        503,
        "Poe accepts none of this gateway's keys; they are checked again soon.",
        type_="server_error",
        code="no_usable_key",
        retry_after=seconds,
    )


def _uncovered() -> Refusal:
    return Refusal(
        404, "The plan of no Poe key behind this gateway covers this model.", code="model_not_available", param="model"
    )
