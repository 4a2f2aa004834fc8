"""How the service does: every machine's health, and requests, errors, streams and keys by Fly's Prometheus."""

from __future__ import annotations

import math
import os
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from invoke import Exit

from infra import http, shapes, smoke
from infra.app import checks_of
from infra.fly import FlyError, wrong_use
from infra.fly_task import fly_task
from infra.plural import counted
from infra.session import Session
from infra.shapes import Status
from infra.smoke import Expected, Ready
from infra.task import INTERRUPTED, ExitCode

API = "https://api.fly.io"
EVERY_SECONDS = 15.0
LONGEST_WATCH_SECONDS = 12 * 3600.0
QUERY_SECONDS = 8.0
WINDOW = "5m"
PATIENCE_SECONDS = 10.0
MOST_NAMED = 3
"""How many machines with the same trouble are named one by one."""
REFUSED = " (this token may not read metrics; `flyctl tokens create readonly {}` makes one that may)"


@dataclass(frozen=True, slots=True)
class Question:
    """Rows of the table: what they are called, the query, the labels that name their values, and the values' unit.

    `state` is the label that is the answer itself, where the value says no more than that it is so.
    """

    name: str
    query: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An answer: a number or a state, or why there is neither; `of` is what the number is of."""

    name: str
    value: float | None
    unit: str = ""
    problem: str = ""
    of: str = ""
    state: str = ""

    @property
    def full_name(self) -> str:
        """The name with everything that tells it from others."""
        return " ".join(filter(None, (self.name, self.of, self.state)))

    @property
    def shown(self) -> str:
        """The number with its unit, or the state."""
        if self.state:
            return self.state
        if self.value is None:
            return self.problem
        return (
            f"{self.value:,.0f}{self.unit}"
            if self.value >= 100 or self.value == int(self.value)
            else f"{self.value:.2f}{self.unit}"
        )


def questions(app: str) -> tuple[Question, ...]:
    """What is asked about an app; the names are those of the service's own metrics, and of Fly's edge."""
    chosen = f'app="{app}"'
    return (
        Question(
            "requests", f"sum by (outcome) (increase(poe_proxy_requests_total{{{chosen}}}[{WINDOW}]))", ("outcome",)
        ),
        Question("open streams", f"sum(poe_proxy_open_streams{{{chosen}}})"),
        Question(
            "first event, p95",
            f"histogram_quantile(0.95, sum by (le) (rate(poe_proxy_first_event_seconds_bucket{{{chosen}}}[{WINDOW}])))",
            unit=" s",
        ),
        Question(
            "overhead, p95",
            f"histogram_quantile(0.95, sum by (le) (rate(poe_proxy_overhead_seconds_bucket{{{chosen}}}[{WINDOW}])))",
            unit=" s",
        ),
        Question(
            "attempts",
            f"sum by (key, result) (increase(poe_proxy_upstream_attempts_total{{{chosen}}}[{WINDOW}]))",
            ("key", "result"),
        ),
        Question("key", f"max by (key, state) (poe_proxy_key_state{{{chosen}}}) == 1", ("key",), state="state"),
        Question("points", f"min by (key) (poe_proxy_key_points{{{chosen}}})", ("key",)),
        Question(
            "5xx at Fly's edge", f'sum(increase(fly_edge_http_responses_count{{{chosen},status=~"5.."}}[{WINDOW}]))'
        ),
    )


@fly_task(name="show", help={"watch": "repeat it until Ctrl-C"})
def show(session: Session, watch: bool = False) -> dict[str, Any]:
    """Dashboards, the health of every machine, and what the last five minutes brought.

    Runs: flyctl status · auth token
    """
    if watch and session.as_json:
        raise wrong_use("--watch goes on without an end, and --json answers with one value: leave one of them out")
    token = prometheus_token(session)
    answer = _look(session, token)
    if watch and not session.dry_run:
        try:
            _watch(session, token)
        except KeyboardInterrupt:
            raise Exit(None, code=INTERRUPTED) from None  # as it was meant to end
    return answer


def _watch(session: Session, token: str) -> None:
    """Look again and again. A network that is gone for a moment is told, and does not end it."""
    deadline = time.monotonic() + LONGEST_WATCH_SECONDS
    while time.monotonic() < deadline:
        time.sleep(EVERY_SECONDS)
        session.console.clear()
        session.console.line(f"{datetime.now():%H:%M:%S}")
        try:
            _look(session, token)
        except FlyError as failed:
            if failed.code == ExitCode.NOT_SET_UP:  # the login has ended, the app is gone: it stays so
                raise
            session.console.line(str(failed.message))


def _look(session: Session, token: str) -> dict[str, Any]:
    status = session.status()
    seen = [] if session.dry_run else health(session, status)
    rows = [] if session.dry_run else table(status, token)
    _print(session, status, seen, rows)
    return _answer(status, seen, rows)


@fly_task(name="check")
def check(session: Session) -> dict[str, Any]:
    """One line for cron: exit 0 where every machine is healthy and a Poe key is usable, else 1.

    What is wrong goes to standard error, so that `>/dev/null` leaves mail about nothing else. A machine that gives no
    good answer is asked again for ten seconds.
    Runs: flyctl status
    """
    status = session.status()
    if session.dry_run:
        return {}
    seen = health(session, status, patience=PATIENCE_SECONDS)
    problems = machine_problems(status, seen)
    answer = {**_answer(status, seen, []), "problems": problems}
    if problems:
        session.console.result(answer)
        told = f"{session.app}: {'; '.join(problems)}; `./dev doctor` looks closer"
        raise Exit(told, code=int(ExitCode.FAILED))
    session.console.line(f"{session.app}: {counted(len(seen), 'machine')} ready, v{status.version}")
    return answer


def machine_problems(status: Status, seen: Sequence[Ready]) -> list[str]:
    """What is wrong with the machines, as Fly and as they themselves see it; what many have in common is told once."""
    told = [(each.id, f"{each.state}, checks {checks_of(each)}") for each in status.machines if _is_sick(each)]
    told += [(each.machine or "?", each.problem) for each in seen if each.problem]
    machines: dict[str, list[str]] = {}
    for machine, problem in told:
        machines.setdefault(problem, []).append(machine)
    found = [f"{_some(ids)}: {problem}" for problem, ids in machines.items()]
    running = any(each.state == "started" for each in status.machines)
    return found if running else [*found, "no machine runs"]


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return f"machine{'s' * (len(ids) > 1)} {', '.join(ids[:MOST_NAMED])}{more}"


def _is_sick(machine: shapes.Machine) -> bool:
    """One that Fly stops when it is quiet may rest; where it does not, a stopped one has crashed too often."""
    gone = machine.state in ("destroying", "destroyed")
    rests = machine.state in ("stopped", "suspended") and machine.rests
    return not (machine.healthy or gone or rests)


def health(
    session: Session, status: Status, *, patience: float = 0, answer: float = smoke.ANSWER_SECONDS
) -> list[Ready]:
    """What each machine says of itself, waited for `answer` seconds, and asked again for `patience` if it is bad."""
    return smoke.ask(session, status.machines, Expected(), patience=patience, answer=answer)


def prometheus_token(session: Session) -> str:
    """A token for Fly's Prometheus: the one in the environment, else that of the login. Never shown."""
    token = os.environ.get("FLY_API_TOKEN", "").strip()
    if not token:
        token = str((session.fly.json("auth token") or {}).get("token", ""))
    session.redact.add(token)
    return token


def table(status: Status, token: str) -> list[Row]:
    """Every question's answers, asked at once."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = pool.map(lambda question: ask(status.organization, question, token), questions(status.name))
    return [row for rows in answers for row in rows]


def ask(organization: str, question: Question, token: str) -> list[Row]:
    """The answers to one question; one row that says why where there are none."""
    base = os.environ.get("FLY_API_BASE_URL", API).rstrip("/")
    query = urllib.parse.urlencode({"query": question.query})
    # What `flyctl tokens create` prints carries its scheme; a token of a login does not.
    authorization = (
        token if token.startswith("FlyV1 ") else f"FlyV1 {token}" if token.startswith("fm") else f"Bearer {token}"
    )
    answer = http.get(
        f"{base}/prometheus/{organization}/api/v1/query?{query}",
        {"Authorization": authorization},
        seconds=QUERY_SECONDS,
    )
    body = answer.json()
    if answer.status != 200 or not isinstance(body, dict) or body.get("status") != "success":
        hint = REFUSED.format(organization) if answer.status in (401, 403) else ""
        return [Row(question.name, None, problem=f"Prometheus: {answer}{hint}")]
    try:
        found = [_row(question, each) for each in body["data"]["result"]]
    except (LookupError, TypeError, ValueError):
        return [Row(question.name, None, problem="Prometheus: an answer that nobody expected")]
    return sorted(found, key=lambda row: row.full_name) or [Row(question.name, None, problem="no data")]


def _row(question: Question, series: Mapping[str, Any]) -> Row:
    labels = series["metric"]
    of = ", ".join(str(labels.get(label, "?")) for label in question.labels)
    state = str(labels.get(question.state, "?")) if question.state else ""
    value = float(series["value"][1])
    if math.isfinite(value):
        return Row(question.name, value, question.unit, of=of, state=state)
    # No number at all, or a quantile beyond the largest bucket.
    return Row(question.name, None, problem="no data" if math.isnan(value) else "more than is measured", of=of)


def _print(session: Session, status: Status, seen: Sequence[Ready], rows: Sequence[Row]) -> None:
    app = session.app
    session.console.line(f"{app} · v{status.version} · https://{status.hostname}")
    session.console.line(f"  https://fly.io/apps/{app}/monitoring   logs and machines")
    session.console.line(f"  https://fly-metrics.net/d/fly-app/fly-app?var-app={app}   Fly's dashboard")
    session.console.line()
    told = {each.machine: each for each in seen}
    session.console.table(
        ("MACHINE", "REGION", "STATE", "CHECKS", "VERSION", "KEYS"),
        [
            (each.id, each.region, each.state, checks_of(each), *_told(told.get(each.id), seen))
            for each in status.machines
        ],
        "no machine",
    )
    session.console.line()
    problems = {row.problem for row in rows}
    if len(rows) > 1 and len(problems) == 1 and all(row.value is None for row in rows):
        session.console.line(f"no metrics: {problems.pop()}")
    else:
        head = (f"IN THE LAST {WINDOW.removesuffix('m')} MINUTES", "OF", "")
        session.console.table(head, [(row.name, row.of, row.shown) for row in rows], "")


def _told(one: Ready | None, seen: Sequence[Ready]) -> tuple[str, str]:
    one = one or (seen[0] if len(seen) == 1 and not smoke.identified() else None)
    if one is None:
        return "–", "–"
    keys = ", ".join(f"{count} {state}" for state, count in one.keys.items())
    return one.version or "–", one.problem or keys or "–"


def _answer(status: Status, seen: Sequence[Ready], rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "app": status.name,
        "version": status.version,
        "machines": [
            {"id": each.machine, "version": each.version, "keys": dict(each.keys), "problem": each.problem}
            for each in seen
        ],
        "metrics": [{"name": row.full_name, "value": row.value, "problem": row.problem} for row in rows],
    }
