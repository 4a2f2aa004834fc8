"""The bars: what the gateway must reach, most of them as shares of the bare pass-through beside it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contestants import BARE, BARE_ON_FASTAPI, GATEWAY, GATEWAY_BOT, GATEWAY_CHAT


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit, at least or at most, on a figure itself or on its ratio to that of `share_of`."""

    limit: float
    at_least: bool
    share_of: str | None = None

    def is_met(self, value: float) -> bool:
        """Whether the figure, or its ratio, keeps the limit."""
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        """The limit in a cell of the table."""
        sign = "≥" if self.at_least else "≤"
        if self.share_of is None:
            return f"{sign} {self.limit:g} {unit}"
        return (
            f"{sign} {self.limit * 100:.0f} % of bare" if self.at_least else f"{sign} {self.limit:g} × {self.share_of}"
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the table: what it is called, its unit, how many decimals, and the bars of those who have one."""

    title: str
    unit: str
    decimals: int
    bars: dict[str, Bar]


def _shares(**limits: float) -> dict[str, Bar]:
    names = {"chat": GATEWAY_CHAT, "bot": GATEWAY_BOT}
    return {names[wire]: Bar(limit, at_least=True, share_of=BARE) for wire, limit in limits.items()}


def _at_most(name: str, limit: float, share_of: str | None = None) -> dict[str, Bar]:
    return {name: Bar(limit, at_least=False, share_of=share_of)}


_ON_TIME = Bar(99, at_least=True)
_QUICK = Bar(5, at_least=False)

MEASURES: dict[str, Measure] = {
    "whole": Measure("whole answers", "per CPU s", 0, _shares(chat=0.57, bot=0.43)),
    "streams": Measure("100-event streams", "per CPU s", 0, _shares(chat=0.57, bot=0.57)),
    "bodies": Measure("200 KB bodies", "per CPU s", 0, _shares(chat=0.35)),
    "latency p50": Measure("added latency, p50", "ms", 3, _at_most(GATEWAY_CHAT, 1.6, BARE)),
    "latency p99": Measure("added latency, p99", "ms", 3, {}),
    "failover p50": Measure("added by a failed attempt, p50", "ms", 3, {}),
    "failover p99": Measure("added by a failed attempt, p99", "ms", 3, {GATEWAY_CHAT: _QUICK, GATEWAY_BOT: _QUICK}),
    "paced on time": Measure("paced streams, on time", "%", 2, {GATEWAY_CHAT: _ON_TIME, GATEWAY_BOT: _ON_TIME}),
    "paced p99": Measure("paced streams, delay p99", "ms", 1, {}),
    "paced CPU": Measure("paced streams, CPU an event", "µs", 1, {}),
    "RSS idle": Measure("RSS idle", "MB", 1, _at_most(GATEWAY, 90)),
    "RSS after": Measure("RSS after the load", "MB", 1, _at_most(GATEWAY, 130)),
    "start": Measure("exec to first answer", "s", 3, _at_most(GATEWAY, 1.3, BARE_ON_FASTAPI)),
    "start, silent": Measure(
        "exec to first `/health`, upstream silent", "s", 3, _at_most(GATEWAY, 1.3, BARE_ON_FASTAPI)
    ),
}
