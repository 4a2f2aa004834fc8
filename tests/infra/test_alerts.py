"""The alerts: about series that exist, of one app, in the runbook, and firing when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import alerts, dashboard, generated
from service.settings import described
from tests.infra.promql import faults

ROOT = Path(__file__).resolve().parents[2]
FLY = tomllib.loads((ROOT / "fly.toml").read_text())
ALERTS = alerts.alerts(FLY)
CASES = Path(__file__).with_name("alerts_test.yaml")
ASKED_FOR = {"not_implemented"}
"""Codes of status 501 and the like: failures that the caller is to blame for."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (Debian: prometheus)")


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        ("promtool", *arguments), capture_output=True, text=True, timeout=30, check=False, cwd=CASES.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_committed_rules_are_fresh() -> None:
    assert generated.stale(alerts.files()) == []


def test_a_stale_rule_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "SHARE_FAILING", 0.5)
    assert [line.partition(" ")[0] for line in generated.stale(alerts.files())] == [
        "infra/terraform/modules/monitoring/alerts.yaml"
    ]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_asks_for_what_the_service_measures(alert: alerts.Alert) -> None:
    assert faults(alert.expression) == []


def test_what_the_service_does_not_measure_is_found() -> None:
    assert faults('rate(poe_proxy_request_total{app="a"}[5m])') == ["no series poe_proxy_request_total"]
    assert faults('sum by (status) (poe_proxy_open_streams{app="a"})') == ["no label status"]
    assert faults("poe_proxy_open_streams") == ["poe_proxy_open_streams of every app"]


def test_names_are_unique() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


def test_failing_outcomes_are_the_codes_that_no_caller_is_to_blame_for() -> None:
    table = (ROOT / "docs" / "errors.md").read_text()
    statuses = re.findall(r"^\|[^|]+\| (\d{3}) \| [^|]+\| `(\w+)`", table, re.MULTILINE)
    told = {code for status, code in statuses if status in ("402", "429") or status >= "500"} - ASKED_FOR
    assert len(told) >= 8
    assert told <= set(alerts.FAILING)


@pytest.mark.parametrize(
    ("fly", "requests", "mebibytes"),
    [
        ({"http_service": {"concurrency": {"hard_limit": 50}}, "vm": [{"memory": "1gb"}]}, 50, 1024),
        ({"vm": [{"memory": "512mb", "size": "shared-cpu-1x"}]}, 2000, 512),
        ({"vm": [{"memory": 768}]}, 2000, 768),
        ({"vm": [{"size": "shared-cpu-2x"}]}, 2000, 512),
        ({"vm": [{"size": "performance-1x"}]}, 2000, 2048),
        ({}, 2000, 256),
    ],
)
def test_limits_of_a_machine_come_from_fly_toml(fly: dict[str, Any], requests: int, mebibytes: int) -> None:
    found = {alert.name: alert.expression for alert in alerts.alerts(fly)}
    assert found["StreamsNearLimit"].endswith(f"> {int(requests * alerts.FULL)}")
    assert found["MemoryHigh"].endswith(f"> {int(mebibytes * 2**20 * alerts.FULL)}")


def test_without_a_limit_of_flys_the_services_own_counts() -> None:
    assert int(next(each.default for each in described() if each.name == "MAX_STREAMS")) == alerts.MAX_STREAMS


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    text = (ROOT / alerts.RUNBOOK).read_text()
    sections = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == [alert.name for alert in ALERTS]
    for alert in ALERTS:
        meaning, *parts = re.split(r"^\*\*(\w+):\*\* ", sections[alert.name], flags=re.MULTILINE)
        assert re.match(rf"\*{alert.severity}, after {alert.minutes} min\.\* \w", meaning), alert.name
        assert parts[::2] == ["Look", "Do", "Over"], alert.name
        assert all(len(part.split()) >= 5 for part in parts[1::2]), alert.name
        assert "`./dev " in parts[1], f"{alert.name}: no command to look with"


def test_the_runbook_speaks_of_panels_that_the_dashboard_has() -> None:
    panels = {each["title"] for each in json.loads(next(iter(dashboard.files().values())))["panels"]}
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*,.]+)\*(?!\*)", (ROOT / alerts.RUNBOOK).read_text()))
    assert len(named) >= 10
    assert named <= panels


def test_the_runbook_gives_the_thresholds_that_are_in_force() -> None:
    text = (ROOT / alerts.RUNBOOK).read_text()
    sections = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))
    assert f"{alerts.SHARE_FAILING * 100:.0f} %" in sections["RequestsFail"]
    assert f"{alerts.FIRST_EVENT_SECONDS} s " in sections["FirstEventSlow"]
    assert f"{alerts.OVERHEAD_SECONDS * 1000:.0f} ms" in sections["OverheadHigh"]
    for name in ("StreamsNearLimit", "MemoryHigh"):
        assert f"{alerts.FULL * 100:.0f} %" in sections[name]


@needs_promtool
def test_promtool_finds_no_fault_in_the_rules() -> None:
    told = promtool("check", "rules", "--lint=all", "--lint-fatal", str(alerts.TARGET))
    assert f"{len(ALERTS)} rules found" in told


@needs_promtool
def test_alerts_fire_when_they_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", CASES.name)


def test_every_alert_is_tested_both_ways() -> None:
    """Each one is seen firing in one case and silent in another."""
    cases = yaml.safe_load(CASES.read_text())["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    fired = {check["alertname"] for check in checks if check.get("exp_alerts")}
    silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fired == silent == {alert.name for alert in ALERTS}
