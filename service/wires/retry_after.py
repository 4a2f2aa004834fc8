"""When an upstream wants us back: Retry-After and the reset headers, in seconds from now."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_GO_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII
)
_EPOCH_FROM = 1e9
"""A reset above this is a point in time and not a number of seconds."""


def retry_after_seconds(headers: Mapping[str, str], *, limited: bool, now: float | None = None) -> float | None:
    """Seconds until the upstream wants to be asked again, None where it does not say.

    `limited`: the answer is a refusal for the rate, so that the reset headers, which other answers carry too, count.
    `headers` is looked up by lower-case names; `now` is in seconds since the epoch.
    """
    now = time.time() if now is None else now
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    seconds = seconds_until(headers.get("retry-after", ""), now)
    if seconds is None and limited:
        for name in ("x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset", "x-ratelimit-reset"):
            seconds = seconds_until(headers.get(name, ""), now)
            if seconds is not None:
                break
    return seconds


def seconds_until(value: str, now: float) -> float | None:
    """Seconds from `now`, of seconds, a duration as Go writes it, an HTTP date, an ISO time or an epoch.

    `now` is in seconds since the epoch. None where it is none of these.
    """
    value = value.strip()
    if not value or len(value) > 64:
        return None
    number = _number(value)
    if number is not None:
        return max(0.0, number - now) if number > _EPOCH_FROM else number
    duration = _GO_DURATION.fullmatch(value)
    if duration is not None:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in duration.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    date = _date(value)
    return None if date is None else max(0.0, date.timestamp() - now)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(value: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return None
