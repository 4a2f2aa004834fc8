"""The alerts: what is asked of Prometheus, and the rule file that promtool tests and Terraform turns into Grafana's.

Which file says what: this one the conditions, `docs/runbook.md` what each means and what to do.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "infra" / "terraform" / "modules" / "monitoring" / "alerts.yaml"
RUNBOOK = "docs/runbook.md"
APP = "poe-proxy"
"""Stands for the app in every expression; Terraform puts the environment's own in its place."""

FAILING = (
    "insufficient_points",
    "internal_error",
    "no_usable_key",
    "overloaded",
    "schema_mismatch",
    "upstream_error",
    "upstream_rate_limited",
    "upstream_timeout",
    "upstream_unavailable",
)
"""Outcomes that no caller is to blame for: the 402, 429 and 5xx of docs/errors.md that a request can end with."""
SHARE_FAILING = 0.05
FAILURES_AT_LEAST = 5
FIRST_EVENT_SECONDS = 30
OVERHEAD_SECONDS = 0.05
FULL = 0.8
"""Share of a machine's open requests or memory from which on it counts as nearly full."""
MAX_STREAMS = 2000
MEMORY = re.compile(r"(\d+)\s*(mb|gb|)")
SIZE = re.compile(r"(shared-cpu|performance)-(\d+)x")

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: it fires when `expression` has had a result for `minutes`.

    `page` is for what callers feel now, `ticket` for what they will feel if nobody looks this week.
    """

    name: str
    severity: Severity
    minutes: int
    summary: str
    expression: str

    @property
    def anchor(self) -> str:
        """Its heading in the runbook, as a link has it."""
        return self.name.lower()


def series(name: str, matchers: str = "") -> str:
    """A metric of this app alone: one organisation's Prometheus holds all its apps."""
    return f'{name}{{app="{APP}"{matchers and f",{matchers}"}}}'


def alerts(fly: Mapping[str, Any]) -> tuple[Alert, ...]:
    """Every alert; `fly` is fly.toml, which says how much one machine may hold."""
    return (*_serving(), *_keys(), *_machine(fly))


def _serving() -> tuple[Alert, ...]:
    """What callers feel."""
    requests = series("poe_proxy_requests_total")
    failing = series("poe_proxy_requests_total", f'outcome=~"{"|".join(FAILING)}"')
    limited = series("poe_proxy_requests_total", 'outcome="upstream_rate_limited"')
    first = series("poe_proxy_first_event_seconds_bucket")
    overhead = series("poe_proxy_overhead_seconds_bucket")
    return (
        Alert("GatewayAbsent", "page", 3, "No machine reports metrics.", f"absent({series('poe_proxy_open_streams')})"),
        Alert(
            "RequestsFail",
            "page",
            5,
            f"More than {SHARE_FAILING:.0%} of the requests fail through no fault of their callers.",
            f"sum(rate({failing}[5m])) / sum(rate({requests}[5m])) > {SHARE_FAILING}"
            f" and sum(increase({failing}[5m])) >= {FAILURES_AT_LEAST}",
        ),
        Alert(
            "RateLimited",
            "ticket",
            15,
            "Requests are turned away because every key rests for its rate limit.",
            f"sum(increase({limited}[15m])) >= {FAILURES_AT_LEAST}",
        ),
        Alert(
            "FirstEventSlow",
            "ticket",
            15,
            f"One answer in twenty takes more than {FIRST_EVENT_SECONDS} s to begin.",
            f"histogram_quantile(0.95, sum by (le) (rate({first}[15m]))) > {FIRST_EVENT_SECONDS}",
        ),
        Alert(
            "OverheadHigh",
            "ticket",
            15,
            f"One request in a hundred spends more than {OVERHEAD_SECONDS * 1000:.0f} ms in the gateway itself.",
            f"histogram_quantile(0.99, sum by (le) (rate({overhead}[15m]))) > {OVERHEAD_SECONDS}",
        ),
    )


def _keys() -> tuple[Alert, ...]:
    """The pool. A key has a series for the state it is in and none for the others, so that none works is an absence."""
    every = series("poe_proxy_key_state")
    working = series("poe_proxy_key_state", 'state!~"dry|revoked"')  # one that rests comes back by itself
    points = series("poe_proxy_key_points")
    return (
        Alert("NoUsableKey", "page", 2, "No Poe key can be used.", f"sum({every}) unless sum({working})"),
        Alert(
            "KeyRevoked",
            "ticket",
            5,
            "Poe refuses the key {{ $labels.key }}.",
            f"max by (key) ({series('poe_proxy_key_state', _is('revoked'))}) > 0",
        ),
        Alert(
            "KeyDry",
            "ticket",
            15,
            "The account of the key {{ $labels.key }} is out of points.",
            f"max by (key) ({series('poe_proxy_key_state', _is('dry'))}) > 0",
        ),
        Alert(
            "PointsRunOut",
            "ticket",
            30,
            "At the pace of the last six hours the key {{ $labels.key }} is out of points within a day.",
            f"max by (key) (predict_linear({points}[6h], 86400)) < 0 and max by (key) ({points}) > 0",
        ),
    )


def _is(state: str) -> str:
    return f'state="{state}"'


def _machine(fly: Mapping[str, Any]) -> tuple[Alert, ...]:
    """One machine's limits, from fly.toml."""
    streams = int(_requests(fly) * FULL)
    memory = int(_mebibytes(fly) * 2**20 * FULL)
    return (
        Alert(
            "StreamsNearLimit",
            "ticket",
            5,
            f"The machine {{{{ $labels.instance }}}} holds {FULL:.0%} of the requests that Fly lets it hold.",
            f"max by (instance) ({series('poe_proxy_open_streams')}) > {streams}",
        ),
        Alert(
            "MemoryHigh",
            "ticket",
            15,
            f"The process on {{{{ $labels.instance }}}} fills {FULL:.0%} of its machine's memory.",
            f"max by (instance) ({series('process_resident_memory_bytes')}) > {memory}",
        ),
        Alert(
            "GatewayRestarts",
            "page",
            0,
            "The process on {{ $labels.instance }} keeps starting anew.",
            f"max by (instance) (changes({series('process_start_time_seconds')}[30m])) >= 3",
        ),
    )


def _requests(fly: Mapping[str, Any]) -> int:
    """How many open requests Fly lets through to one machine; the service itself stops at MAX_STREAMS."""
    limits = fly.get("http_service", {}).get("concurrency", {})
    return int(limits.get("hard_limit", MAX_STREAMS))


def _mebibytes(fly: Mapping[str, Any]) -> int:
    """A machine's memory: what fly.toml says, else what its size brings."""
    machine = (fly.get("vm") or [{}])[0]
    if found := MEMORY.fullmatch(str(machine.get("memory", "")).lower()):
        return int(found[1]) * (1024 if found[2] == "gb" else 1)
    size = SIZE.fullmatch(str(machine.get("size", "shared-cpu-1x")))
    if not size:
        raise ValueError("fly.toml: [[vm]] has neither a memory nor a size that is known")
    return int(size[2]) * (256 if size[1] == "shared-cpu" else 2048)


def rules() -> str:
    """The rule file in Prometheus' format."""
    found = alerts(tomllib.loads((ROOT / "fly.toml").read_text(encoding="utf-8")))
    group = {"name": "poe-proxy", "rules": [_rule(alert) for alert in found]}
    text = yaml.safe_dump({"groups": [group]}, sort_keys=False, width=10_000, allow_unicode=True)
    return f"# Generated from infra/alerts.py and fly.toml by `invoke generate`; not to be edited.\n{text}"


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": f"{alert.minutes}m" if alert.minutes else "0s",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": f"{RUNBOOK}#{alert.anchor}"},
    }


def files() -> dict[Path, str]:
    """What is generated here, by its place."""
    return {TARGET: rules()}
