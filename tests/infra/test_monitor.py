"""`monitor` and `monitor.check`: what is shown, and what cron learns."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from infra import http, monitor, waiting
from infra.http import Answer
from service.observe.metrics import Metrics
from tests.infra import fake_flyctl
from tests.infra.flying import APP, FLY_TOKEN, KEYS, Desk

IMAGE = f"registry.fly.io/{APP}:one"
STEP = "; `./dev doctor` looks closer"


@pytest.fixture
def running(desk: Desk) -> Desk:
    assert desk.run("setup", "--yes", "--image", IMAGE, POE_API_KEYS=KEYS).code == 0
    desk.forget()
    return desk


def test_it_shows_links_machines_and_a_table(running: Desk) -> None:
    shown = running.run("monitor").out
    assert f"https://fly-metrics.net/d/fly-app/fly-app?var-app={APP}" in shown
    assert "2 usable" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["requests", "ok", "42"] in rows
    assert ["key", "alice", "usable"] in rows
    assert running.calls() == [f"status --json --app={APP}"]


def test_for_scripts(running: Desk) -> None:
    told = running.run("monitor", "--json").json
    assert {"name": "requests ok", "value": 42.0, "problem": ""} in told["metrics"]
    assert told["machines"][0]["keys"] == {"usable": 2}


def test_without_prometheus_it_says_so_and_shows_the_rest(running: Desk) -> None:
    running.change(lambda state: state.update(prometheus=False))
    shown = running.run("monitor")
    assert shown.code == 0
    assert shown.out.count("Prometheus: HTTP 401 (this token may not read metrics; `flyctl tokens create readonly") == 1
    assert "2 usable" in shown.out


def test_the_login_of_flyctl_will_do(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLY_API_TOKEN")
    folder = running.folder.parent / "home" / ".fly"
    folder.mkdir()
    (folder / "config.yml").write_text(f"access_token: {FLY_TOKEN}\n")
    assert ["requests", "ok", "42"] in [line.split() for line in running.run("monitor").out.splitlines()]
    assert running.calls("auth token") == ["auth token --json"]


def sleep_by(monkeypatch: pytest.MonkeyPatch, pause: Callable[[float], None]) -> None:
    """Do this where the watch would sleep; other threads of this process sleep as they like."""
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))


def test_the_watch_repeats_until_it_is_interrupted(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    sleep_by(monkeypatch, pause)
    ended = running.run("monitor", "--watch")
    assert (ended.code, ended.err) == (130, "")
    assert len(running.calls("status")) == 3


def test_the_watch_outlives_a_moment_without_a_network(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(["unreachable", "500", "401"])
    sleep_by(monkeypatch, lambda _: running.fault("status", next(looks)))
    ended = running.run("monitor", "--watch")
    assert (ended.code, len(running.calls("status"))) == (3, 4)
    assert "no such host; check the network" in ended.out
    assert "status.flyio.net" in ended.out
    assert "run `flyctl auth login`" in ended.line


def test_the_logins_token_is_shown_nowhere(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where somebody's series bears it as a name."""
    series = {"metric": {"outcome": "token-of-the-login"}, "value": [0, "1"]}
    body = json.dumps({"status": "success", "data": {"result": [series]}}).encode()
    real = http.get

    def get(url: str, *rest: Any, **more: Any) -> Answer:
        return Answer(200, body) if "/prometheus/" in url else real(url, *rest, **more)

    monkeypatch.setattr(http, "get", get)
    monkeypatch.setattr(fake_flyctl.Fly, "auth_token", lambda _: {"token": "token-of-the-login"})
    monkeypatch.setattr(fake_flyctl, "_token", lambda _: "token-of-the-login")
    monkeypatch.delenv("FLY_API_TOKEN")
    shown = running.run("monitor").out
    assert re.search(r"requests +\*{3}", shown)
    assert "token-of-the-login" not in shown


def test_only_the_state_that_a_key_is_in_is_asked_for() -> None:
    """Each key has a series for each state, 0 or 1."""
    (key,) = [each for each in monitor.questions(APP) if each.name == "key"]
    assert key.query.endswith(" == 1")


def test_a_watch_is_no_json_value(running: Desk) -> None:
    ended = running.run("monitor", "--watch", "--json")
    assert (ended.code, running.children) == (2, [])
    assert ended.line.startswith("--watch goes on without an end")


def test_a_token_with_a_line_break_behind_it_will_do(running: Desk) -> None:
    """As it comes out of a file."""
    assert ["requests", "ok", "42"] in [
        line.split() for line in running.run("monitor", FLY_API_TOKEN=f"{FLY_TOKEN}\n").out.splitlines()
    ]


def test_every_metric_that_is_asked_for_exists() -> None:
    metrics = Metrics()
    metrics.watch_keys(lambda: {"a": "usable"}, lambda: {"a": 1})
    names = {
        sample
        for family in metrics.registry.collect()
        for sample in (family.name, f"{family.name}_total", f"{family.name}_bucket")
    }
    asked = {name for each in monitor.questions(APP) for name in re.findall(r"poe_proxy_\w+", each.query)}
    assert len(asked) == 7
    assert asked <= names
    labels = {
        family.name: set().union(*[sample.labels for sample in family.samples] or [set()])
        for family in metrics.registry.collect()
    }
    assert {"key", "state"} <= labels["poe_proxy_key_state"]


@pytest.mark.parametrize(
    ("token", "header"),
    [("FlyV1 fm2_x", "FlyV1 fm2_x"), ("fm2_x", "FlyV1 fm2_x"), ("fo1_x", "Bearer fo1_x")],
)
def test_each_kind_of_token_has_its_scheme(token: str, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def get(_: str, headers: dict[str, str], **__: float) -> Answer:
        seen.append(headers["Authorization"])
        return Answer(200, b'{"status": "success", "data": {"result": []}}')

    monkeypatch.setattr(http, "get", get)
    assert monitor.ask("personal", monitor.questions(APP)[0], token)[0].problem == "no data"
    assert seen == [header]


def test_cron_hears_nothing_but_good(running: Desk) -> None:
    ended = running.run("monitor.check")
    assert (ended.code, ended.err, ended.out) == (0, "", f"{APP}: 1 machine ready, v1\n")


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"http": 503, "status": "draining"}, "/ready: draining (HTTP 503)"),
        ({"keys": {"dry": 1, "revoked": 1}}, "no Poe key is usable (1 dry, 1 revoked)"),
    ],
)
def test_cron_is_told(running: Desk, told: dict[str, object], line: str) -> None:
    running.change(lambda state: state.update(ready={IMAGE: told}))
    ended = running.run("monitor.check")
    assert ended.code == 1
    assert f"{line}; `./dev doctor` looks closer" in ended.line
    assert running.run("monitor.check", "--json").json["problems"]


def test_what_fifty_machines_have_in_common_is_told_once(running: Desk) -> None:
    def crowd(state: dict[str, Any]) -> None:
        (one,) = state["apps"][APP]["machines"]
        state["apps"][APP]["machines"] = [{**one, "id": f"{number:014x}"} for number in range(50)]
        state["ready"] = {IMAGE: {"http": 503, "status": "draining"}}

    running.change(crowd)
    first = ", ".join(f"{number:014x}" for number in range(3))
    assert running.run("monitor.check").line == (
        f"{APP}: machines {first} and 47 more: /ready: draining (HTTP 503){STEP}"
    )


def test_cron_asks_again_before_it_calls_somebody(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One lost packet is no outage."""
    patience: list[float] = []

    def until(ask: Callable[[], Any], _: object, seconds: float) -> Any:
        patience.append(seconds)
        return ask()

    monkeypatch.setattr(waiting, "until", until)
    running.run("monitor.check")
    running.run("monitor")
    assert patience == [monitor.PATIENCE_SECONDS, 0]


@pytest.mark.parametrize(
    ("state", "stops", "code"),
    [
        ("stopped", "off", 1),
        ("stopped", "stop", 0),
        ("suspended", "suspend", 0),
        ("failed", "stop", 1),
        ("destroying", "off", 0),
    ],
)
def test_a_machine_rests_only_where_fly_may_stop_it(running: Desk, state: str, stops: str, code: int) -> None:
    """One that crashed too often is stopped too."""
    assert running.run("scale.count", "--machines", "2").code == 0

    def change(platform: dict[str, Any]) -> None:
        platform["apps"][APP]["releases"][-1]["config"]["http_service"]["auto_stop_machines"] = stops
        platform["apps"][APP]["machines"][1]["state"] = state

    running.change(change)
    ended = running.run("monitor.check")
    assert ended.code == code
    assert (f": {state}, checks " in ended.line) is bool(code)


def test_cron_is_told_of_machines(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(IMAGE))
    assert ": started, checks 0/1" in running.run("monitor.check").line
    running.change(lambda state: state["apps"][APP].update(machines=[]))
    assert running.run("monitor.check").line == f"{APP}: no machine runs{STEP}"


def test_numbers_are_readable() -> None:
    assert [monitor.Row("x", value, " s").shown for value in (0.0, 12.0, 0.1234, 123456.7)] == [
        "0 s",
        "12 s",
        "0.12 s",
        "123,457 s",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *(("NaN", "no data"), ("+Inf", "more than is measured"), ("-Inf", "more than is measured")),
        *(
            ("1e30", "1,000,000,000,000,000,019,884,624,838,656"),
            ("-3.5", "-3.50"),
            ("x", "Prometheus: an answer that"),
        ),
    ],
)
def test_any_number_can_be_shown_and_written_as_json(
    running: Desk, monkeypatch: pytest.MonkeyPatch, value: str, shown: str
) -> None:
    body = json.dumps({"status": "success", "data": {"result": [{"metric": {}, "value": [0, value]}]}}).encode()
    real = http.get

    def get(url: str, *rest: Any, **more: Any) -> Answer:
        return Answer(200, body) if "/prometheus/" in url else real(url, *rest, **more)

    monkeypatch.setattr(http, "get", get)
    assert shown in running.run("monitor").out
    ended = running.run("monitor", "--json")
    assert ended.code == 0
    assert json.loads(ended.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
