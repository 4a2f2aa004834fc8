"""Accounts of the sandbox: points, their history, and the limit of requests."""

from __future__ import annotations

import math
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any

MAX_ROWS = 5_000
"""History rows that an account keeps."""

POINT_USD = 0.00003
"""About 30 USD for a million points (poe.md 7)."""

_HISTORY_SECONDS = 30 * 86_400
_MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer costs. `parts` are lines of the breakdown: name, points, what for."""

    usd: float
    parts: tuple[tuple[str, int, str], ...]

    @property
    def points(self) -> int:
        """The sum, in whole points."""
        return sum(points for _, points, _ in self.parts)

    def breakdown(self) -> dict[str, str]:
        """Poe's wording: `{"Input": "238 points (8369 tokens)", ..., "Total": "239 points"}`."""
        lines = {name: f"{_points(points)}{f' ({what})' if what else ''}" for name, points, what in self.parts}
        return {**lines, "Total": _points(self.points)}


@dataclass(frozen=True, slots=True)
class PointsRow:
    """One row of the points history; `created` is in seconds."""

    created: float
    bot_name: str
    cost: Cost
    key_name: str
    query_id: str = field(
        default_factory=lambda: "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(18))
    )

    def shown(self, *, settled: bool) -> dict[str, Any]:
        """The row as Poe shows it: a fresh one has no cost yet (poe.md 7)."""
        return {
            "creation_time": int(self.created * 1e6),
            "bot_name": self.bot_name,
            "query_id": self.query_id,
            "usage_type": "API",
            "cost_points": self.cost.points if settled else 0,
            "cost_usd": f"{self.cost.usd:.8f}" if settled else "0",
            "cost_breakdown_in_points": self.cost.breakdown() if settled else {},
            "api_key_name": self.key_name,
        }


@dataclass(slots=True)
class SandboxAccount:
    """One Poe account. Tests may change it while the sandbox runs.

    Several keys may share one account: points and limit belong to it. `auto_recharge_points` are added whenever the
    account runs dry, 0: never. `requests_per_minute` None: no limit.
    """

    points: int = 1_000_000
    auto_recharge_points: int = 0
    requests_per_minute: int | None = None
    history: deque[PointsRow] = field(default_factory=lambda: deque(maxlen=MAX_ROWS))
    _recent: deque[float] = field(default_factory=deque, repr=False)

    def pay(self, row: PointsRow) -> None:
        """Charge the account and write the row; the balance may fall below zero, as Poe's can (poe.md 4.6: `<= 0`)."""
        self.points -= row.cost.points
        self.history.append(row)
        if self.points <= 0:
            self.points += self.auto_recharge_points

    def over_limit(self, now: float) -> int | None:
        """Count a request; over the limit, the whole seconds until there is room again."""
        if self.requests_per_minute is None:
            return None
        while self._recent and self._recent[0] <= now - _MINUTE_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= self.requests_per_minute:
            free = self._recent[0] + _MINUTE_SECONDS if self._recent else now + _MINUTE_SECONDS
            return max(1, math.ceil(free - now))
        self._recent.append(now)
        return None

    def remaining(self) -> int | None:
        """Requests left in this minute, None without a limit."""
        return None if self.requests_per_minute is None else max(0, self.requests_per_minute - len(self._recent))

    def page(self, *, limit: int, after: str | None, now: float, lag_seconds: float) -> dict[str, Any] | None:
        """A page of the history, newest first; None where `after` is no row of it."""
        rows = [row for row in reversed(self.history) if row.created > now - _HISTORY_SECONDS]
        start = 0
        if after is not None:
            known = [number for number, row in enumerate(rows) if row.query_id == after]
            if not known:
                return None
            start = known[0] + 1
        shown = rows[start : start + limit]
        return {
            "has_more": start + limit < len(rows),
            "length": len(shown),
            "data": [row.shown(settled=now - row.created >= lag_seconds) for row in shown],
        }


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"
