"""`monitor` and `monitor.check`: what is shown, and what cron learns."""

from __future__ import annotations

import re
import time

import pytest

from infra import http, monitor
from infra.http import Answer
from service.observe.metrics import Metrics
from tests.infra.flying import APP, FLY_TOKEN, KEYS, Desk

IMAGE = f"registry.fly.io/{APP}:one"


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
    assert ["key", "alice", "usable", "42"] in rows
    assert running.calls() == [f"status --json --app={APP}"]


def test_for_scripts(running: Desk) -> None:
    told = running.run("monitor", "--json").json
    assert {"name": "requests ok", "value": 42.0, "problem": ""} in told["metrics"]
    assert told["machines"][0]["keys"] == {"usable": 2}


def test_without_prometheus_it_says_so_and_shows_the_rest(running: Desk) -> None:
    running.change(lambda state: state.update(prometheus=False))
    shown = running.run("monitor")
    assert shown.code == 0
    assert "Prometheus: HTTP 401" in shown.out
    assert "2 usable" in shown.out


def test_the_login_of_flyctl_will_do(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLY_API_TOKEN")
    folder = running.folder.parent / "home" / ".fly"
    folder.mkdir()
    (folder / "config.yml").write_text(f"access_token: {FLY_TOKEN}\n")
    assert ["requests", "ok", "42"] in [line.split() for line in running.run("monitor").out.splitlines()]
    assert running.calls("auth token") == ["auth token --json"]


def test_the_watch_repeats_until_it_is_interrupted(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    ended = running.run("monitor", "--watch")
    assert ended.code == 130
    assert len(running.calls("status")) == 3


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
    assert (ended.code, ended.err, ended.out) == (0, "", f"{APP}: 1 machine(s) ready, v1\n")


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
    assert line in ended.line
    assert running.run("monitor.check", "--json").json["problems"]


def test_cron_is_told_of_machines(running: Desk) -> None:
    running.change(lambda state: state["sick_images"].append(IMAGE))
    assert "is started, checks 0/1" in running.run("monitor.check").line
    running.change(lambda state: state["apps"][APP].update(machines=[]))
    assert running.run("monitor.check").line == f"{APP}: no machine runs"


def test_numbers_are_readable() -> None:
    assert [monitor.Row("x", value, " s").shown for value in (0.0, 12.0, 0.1234, 123456.7)] == [
        "0 s",
        "12 s",
        "0.12 s",
        "123,457 s",
    ]
    assert monitor._row(monitor.Question("q", ""), {"metric": {}, "value": [0, "NaN"]}).problem == "no data"
