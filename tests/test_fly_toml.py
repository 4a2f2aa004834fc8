"""fly.toml agrees with the service that it runs, and keeps long streams alive."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from service.contract.routes import OPERATIONS
from service.settings import Settings

SETTINGS = Settings()
START_SECONDS = 8
"""From nothing to ready takes about a second on a desk; a shared processor that others use too takes several."""


@pytest.fixture(scope="module")
def fly(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "fly.toml").read_text())


def seconds(text: str) -> int:
    number, unit = int(text[:-1]), text[-1]
    return number * {"s": 1, "m": 60}[unit]


def test_the_ports_are_the_services(fly: dict[str, Any]) -> None:
    assert fly["http_service"]["internal_port"] == SETTINGS.port == int(fly["env"]["PORT"])
    assert [(entry["port"], entry["path"]) for entry in fly["metrics"]] == [(SETTINGS.metrics_port, "/metrics")]


def test_no_token_is_sent_in_the_clear(fly: dict[str, Any]) -> None:
    assert fly["http_service"]["force_https"] is True


def test_a_stream_may_drain_before_it_is_killed(fly: dict[str, Any]) -> None:
    assert fly["kill_signal"] == "SIGTERM"
    assert SETTINGS.drain_timeout < seconds(fly["kill_timeout"]) <= 300
    assert seconds(fly["deploy"]["wait_timeout"]) > seconds(fly["kill_timeout"])


def test_the_proxy_waits_longer_than_the_service_and_buffers_nothing(fly: dict[str, Any]) -> None:
    options = fly["http_service"]["http_options"]
    assert options["idle_timeout"] > SETTINGS.total_timeout
    assert options["compress"] is False


def test_a_quiet_machine_is_left_running(fly: dict[str, Any]) -> None:
    service = fly["http_service"]
    off = service["auto_stop_machines"] == "off" and not service["auto_start_machines"]
    assert off or service["min_machines_running"] >= 1  # what `scale.auto` may write


def test_load_is_counted_in_requests_and_refused_by_the_service_itself(fly: dict[str, Any]) -> None:
    concurrency = fly["http_service"]["concurrency"]
    assert concurrency["type"] == "requests"
    assert concurrency["soft_limit"] < concurrency["hard_limit"] <= SETTINGS.max_streams


def test_a_machine_has_time_to_start_before_it_is_checked(fly: dict[str, Any]) -> None:
    """A check that fails first is asked again only after its interval, and the deployment waits for as long."""
    (check,) = fly["http_service"]["checks"]
    assert START_SECONDS <= seconds(check["grace_period"]) <= seconds(check["interval"])
    assert seconds(check["timeout"]) < seconds(check["interval"])


def test_the_check_asks_an_open_path_that_exists(fly: dict[str, Any]) -> None:
    (check,) = fly["http_service"]["checks"]
    asked = [each for each in OPERATIONS if (each.method, each.path) == (check["method"], check["path"])]
    assert [each.security for each in asked] == [()]


def test_no_secret_stands_in_the_file(fly: dict[str, Any]) -> None:
    assert fly["env"].keys().isdisjoint({"POE_API_KEYS", "ACCESS_TOKENS"})
