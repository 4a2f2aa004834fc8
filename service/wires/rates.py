"""What the head of an answer says of the account's rate."""

from __future__ import annotations

import time
from typing import NamedTuple

from service.wires.call import UpstreamCall
from service.wires.connection import Answer
from service.wires.retry_after import seconds_until

LIMIT, REMAINING, RESET = range(3)
FIELDS = {
    b"x-ratelimit-limit-requests": LIMIT,
    b"x-ratelimit-remaining-requests": REMAINING,
    b"x-ratelimit-reset-requests": RESET,
    b"anthropic-ratelimit-requests-limit": LIMIT,
    b"anthropic-ratelimit-requests-remaining": REMAINING,
    b"anthropic-ratelimit-requests-reset": RESET,
}
"""The two families of names that Poe uses; all of them are optional."""
SHORTEST_NAME = min(map(len, FIELDS))
MOST_DIGITS = 9
"""Of a count. A reset of more is a moment, not a number of seconds."""


class Rates(NamedTuple):
    """Requests a minute, how many of them are left, and for how many seconds; None where Poe does not say."""

    limit: int | None
    remaining: int | None
    reset_seconds: float | None


def rates_of(answer: Answer) -> Rates | None:
    """The rates that an answer tells, None where it tells none. What cannot be read is as good as absent."""
    found: list[bytes | None] = [None, None, None]
    any_found = False
    for name, value in answer.fields:
        if len(name) >= SHORTEST_NAME:  # few fields have such long names, and every answer comes through here
            place = FIELDS.get(name.lower())
            if place is not None:
                found[place] = value
                any_found = True
    if not any_found:
        return None
    limit, remaining, reset = found
    return Rates(_count(limit), _count(remaining), _seconds(reset))


def tell_rates(answer: Answer, call: UpstreamCall) -> None:
    """Pass on what an answer tells, if anybody wants to know."""
    if call.rates is not None:
        rates = rates_of(answer)
        if rates is not None:
            call.rates(*rates)


def _count(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= MOST_DIGITS else None


def _seconds(value: bytes | None) -> float | None:
    if value is None:
        return None
    if value.isdigit() and len(value) <= MOST_DIGITS:
        return float(value)
    return seconds_until(value.decode("latin-1"), time.time())
