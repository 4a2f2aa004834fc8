"""What a caller is told when no key can be used (interface: errors)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from math import ceil, inf

from service.errors import Refusal
from service.keys.account import Account, Key

SOONEST_SECONDS = 1.0
"""What a caller is told to wait where a probe is due already."""


class NoOtherKey(Refusal):
    """Keys could be used, but every one of them was to be avoided: this request has tried them all."""

    def __init__(self) -> None:
        super().__init__(
            502, "Every usable Poe key has failed this request.", type_="server_error", code="upstream_error"
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """Why no key can be had for a model, and when that changes. Moments are infinity where it does not.

    `soonest`: when the first key can be had that only its account's rate, or a trial after a rest, holds back;
    `turn`: the same for whoever is in line behind the others. `rested`: when the first rest ends, and the trial that
    holds back its key even then. `probed`: when a revoked key is probed next. `avoided`: a key that could be used was
    to be avoided. `dry`: an account is out of points.
    """

    soonest: float
    turn: float
    rested: float
    probed: float
    avoided: bool
    dry: bool


def outlook(keys: Iterable[Key], model: str, now: float, avoid: Set[str], *, ahead: int = 0) -> Outlook:
    """What stands in the way of a lease, with so many others `ahead` who wait for theirs."""
    rested = probed = inf
    avoided = dry = False
    waits: dict[Account, float] = {}
    for key in keys:
        account, rest = key.account, key.rests.get(model)
        until = max(account.rest.until, -inf if rest is None else rest.until)
        tried = max(key.revoked.trial_until, -inf if rest is None else rest.trial_until)
        if key.revoked.active:
            probed = min(probed, key.revoked.probe_at)
        elif account.dry.active:
            dry = True
        elif until > now:
            if rest is None or not rest.uncovered or rest.until <= now:
                rested = min(rested, max(until, tried, account.rest.trial_until, account.dry.trial_until))
        elif key.spec.name in avoid:
            avoided = True
        else:
            waits[account] = min(waits.get(account, inf), tried)
    lines = [
        _not_before(max(tried, account.rest.trial_until, account.dry.trial_until), account.window.slots(now))
        for account, tried in waits.items()
    ]
    times = list(islice(merge(*lines), ahead + 1))
    soonest = times[0] if times else inf
    return Outlook(soonest, times[ahead] if len(times) > ahead else inf, rested, probed, avoided, dry)


def refusal(why: Outlook, now: float) -> Refusal:
    """What to tell a caller: of several reasons the one that passes soonest speaks, with the time when it does."""
    if why.avoided:
        return NoOtherKey()
    limited = min(why.turn, why.rested)
    if limited < inf:
        return _rate_limited(max(limited - now, 0.0), resting=why.rested <= why.turn)
    if why.dry:
        return _dry()
    if why.probed < inf:
        return _revoked(max(why.probed - now, SOONEST_SECONDS))
    return _uncovered()


def _not_before(moment: float, slots: Iterator[float]) -> Iterator[float]:
    """The slots, and those before a moment at that moment."""
    return (max(moment, slot) for slot in slots)


def _rate_limited(seconds: float, *, resting: bool) -> Refusal:
    reason = "is resting after a rate limit of Poe" if resting else "has used its rate"
    return Refusal(
        429,
        f"Every usable Poe key {reason}; try again in {max(1, ceil(seconds))} s.",
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
