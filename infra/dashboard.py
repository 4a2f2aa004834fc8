"""The Grafana dashboard: rows of panels over the service's metrics, as the JSON that Terraform hands to Grafana."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from infra.alerts import FAILING, FIRST_EVENT_SECONDS, SHARE_FAILING

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "infra" / "terraform" / "modules" / "monitoring" / "dashboards" / "overview.json"
UID = "poe-proxy-overview"
"""Fixed, so that a new title changes the dashboard instead of making a second one."""
HEIGHT = 8
WIDTH, COLUMNS = 12, 24
SCHEMA = 42
"""The version of Grafana's format that this is written in; Grafana lifts an older one to its own."""
SOURCE = {"type": "prometheus", "uid": "${source}"}
RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel, and how its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time, or a number; `unit` is Grafana's word, `line` where a threshold is drawn."""

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["graph", "number"] = "graph"
    line: float | None = None


def of_app(name: str, matchers: str = "") -> str:
    """A metric of the app that the dashboard's reader chose."""
    return f'{name}{{app="$app"{matchers and f",{matchers}"}}}'


def rate(name: str, by: str = "", matchers: str = "") -> str:
    """A counter's growth a second, added up over all machines."""
    return f"sum{f' by ({by})' if by else ''} (rate({of_app(name, matchers)}[{RATE}]))"


def quantiles(name: str, *shares: float, by: str = "") -> tuple[Query, ...]:
    """Quantiles of a histogram over all machines, split by one label or not."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Query(f"histogram_quantile({share}, {rate(f'{name}_bucket', labels)})", f"p{share * 100:.0f}{legend}")
        for share in shares
    )


def rows() -> dict[str, tuple[Panel, ...]]:
    """The dashboard's content, row by row."""
    return {"Traffic": _traffic(), "Times": _times(), "Poe": _upstream(), "Keys": _keys(), "Process": _process()}


def _traffic() -> tuple[Panel, ...]:
    failing = f'outcome=~"{"|".join(FAILING)}"'
    requests = "poe_proxy_requests_total"
    return (
        Panel(
            "Requests by outcome",
            "Requests that ended, by `ok`, `cancelled` or the error's code",
            (Query(rate(requests, "outcome"), "{{outcome}}"),),
            "reqps",
        ),
        Panel(
            "Share that fails",
            "Failures that no caller is to blame for; the alert RequestsFail fires above the line",
            (Query(f"({rate(requests, matchers=failing)} or vector(0)) / {rate(requests)}", "failing"),),
            "percentunit",
            line=SHARE_FAILING,
        ),
        Panel("Requests by model", "Ended requests", (Query(rate(requests, "model"), "{{model}}"),), "reqps"),
        Panel(
            "Open requests",
            "Requests being answered now, on each machine",
            (Query(f"sum by (instance) ({of_app('poe_proxy_open_streams')})", "{{instance}}"),),
        ),
    )


def _times() -> tuple[Panel, ...]:
    return (
        Panel(
            "Time to the first visible event",
            "From the request to the first piece of the answer; FirstEventSlow fires where p95 stays above the line",
            quantiles("poe_proxy_first_event_seconds", 0.5, 0.95, 0.99),
            "s",
            line=FIRST_EVENT_SECONDS,
        ),
        Panel("The same by model", "p95", quantiles("poe_proxy_first_event_seconds", 0.95, by="model"), "s"),
        Panel("Whole requests", "From the request to its end", quantiles("poe_proxy_request_seconds", 0.5, 0.95), "s"),
        Panel(
            "Time in the gateway",
            "Up to the head of the answer, without waiting for Poe",
            quantiles("poe_proxy_overhead_seconds", 0.5, 0.99),
            "s",
        ),
    )


def _upstream() -> tuple[Panel, ...]:
    attempts = "poe_proxy_upstream_attempts_total"
    requests = "poe_proxy_requests_total"
    return (
        Panel(
            "Attempts by result",
            "Calls of Poe: `ok`, or the way in which they failed",
            (Query(rate(attempts, "result"), "{{result}}"),),
            "reqps",
        ),
        Panel("Attempts by wire", "Calls of Poe", (Query(rate(attempts, "wire"), "{{wire}}"),), "reqps"),
        Panel(
            "Attempts for each request",
            "1 where every first attempt answers",
            (Query(f"{rate(attempts)} / {rate(requests)}", "attempts"),),
        ),
        Panel(
            "Parameters without effect",
            "Members of requests that the model or the wire does not take",
            (Query(rate("poe_proxy_dropped_parameters_total", "parameter"), "{{parameter}}"),),
            "reqps",
        ),
    )


def _keys() -> tuple[Panel, ...]:
    state = "poe_proxy_key_state"
    working = of_app(state, 'state=~"usable|limited"')
    return (
        Panel(
            "Keys by state",
            "Keys on each machine's own account of them, averaged over the machines",
            (Query(f"sum by (state) (avg by (key, state) ({of_app(state)}))", "{{state}}"),),
        ),
        Panel(
            "Keys that work",
            "Usable now, or resting for some model alone",
            (Query(f"count(max by (key) ({working})) or vector(0)", "keys"),),
            kind="number",
        ),
        Panel(
            "Attempts by key",
            "Calls of Poe",
            (Query(rate("poe_proxy_upstream_attempts_total", "key"), "{{key}}"),),
            "reqps",
        ),
        Panel(
            "Points left",
            "The last balance seen of each key's account",
            (Query(f"min by (key) ({of_app('poe_proxy_key_points')})", "{{key}}"),),
        ),
    )


def _process() -> tuple[Panel, ...]:
    def each(name: str, unit: str, title: str, meaning: str) -> Panel:
        return Panel(title, meaning, (Query(f"max by (instance) ({of_app(name)})", "{{instance}}"),), unit)

    return (
        Panel(
            "Processor",
            "Of one core",
            (Query(rate("process_cpu_seconds_total", "instance"), "{{instance}}"),),
            "percentunit",
        ),
        each("process_resident_memory_bytes", "bytes", "Memory", "Resident, on each machine"),
        each("process_open_fds", "short", "Open files", "Sockets among them"),
        Panel(
            "Time since the start",
            "On each machine",
            (Query(f"time() - max by (instance) ({of_app('process_start_time_seconds')})", "{{instance}}"),),
            "s",
        ),
    )


def overview() -> str:
    """The dashboard as JSON."""
    board = {
        "uid": UID,
        "title": "poe-proxy",
        "tags": ["poe-proxy"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "panels": _panels(),
    }
    return json.dumps(board, indent=2) + "\n"


def _variables() -> list[dict[str, Any]]:
    """What the reader chooses: the data source, and one of the apps that report to it."""
    apps = "label_values(poe_proxy_open_streams, app)"
    return [
        {"type": "datasource", "name": "source", "label": "Source", "query": "prometheus"},
        {"type": "query", "name": "app", "label": "App", "datasource": SOURCE, "query": apps, "refresh": 2},
    ]


def _panels() -> list[dict[str, Any]]:
    """Rows one under the other, two panels beside each other."""
    placed: list[dict[str, Any]] = []
    top = 0
    for title, panels in rows().items():
        placed.append({"type": "row", "title": title, "collapsed": False, "panels": []} | _at(0, top, COLUMNS, 1))
        for number, panel in enumerate(panels):
            line, column = divmod(number, COLUMNS // WIDTH)
            placed.append(_built(panel) | _at(column * WIDTH, top + 1 + line * HEIGHT, WIDTH, HEIGHT))
        top = placed[-1]["gridPos"]["y"] + HEIGHT
    return [{"id": number, **panel} for number, panel in enumerate(placed, start=1)]


def _at(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _built(panel: Panel) -> dict[str, Any]:
    graph = panel.kind == "graph"
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.line is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.line}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        defaults["custom"] = {"thresholdsStyle": {"mode": "line+area"}}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return {
        "type": "timeseries" if graph else "stat",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}} if graph else {},
        "targets": [
            {"refId": letter, "datasource": SOURCE, "expr": query.expression, "legendFormat": query.legend}
            for letter, query in zip("ABCDEFGH", panel.queries, strict=False)
        ],
    }


def files() -> dict[Path, str]:
    """What is generated here, by its place."""
    return {TARGET: overview()}
