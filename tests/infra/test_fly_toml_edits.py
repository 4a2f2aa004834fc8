"""fly.toml: one line changes and nothing else; what flyctl lets pass and streams do not survive is found."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra import fly_toml
from infra.fly_toml import FlyToml
from tests.infra.flying import config_of_tests


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return config_of_tests(root)


def at(values: Any, table: str, key: str) -> Any:
    for step in table.split(".") if table else ():
        values = values[step]
    return (values[0] if isinstance(values, list) else values).get(key)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("", "primary_region", "sin"),
        ("", "console_command", "sh"),
        ("vm", "memory", "512mb"),
        ("vm", "cpus", 2),
        ("http_service", "auto_start_machines", True),
        ("http_service", "min_machines_running", 1),
        ("http_service.concurrency", "hard_limit", 900),
        ("env", "LOG_LEVEL", "debug"),
    ],
)
def test_a_key_is_set_and_nothing_else(text: str, table: str, key: str, value: object) -> None:
    changed = fly_toml.edited(text, table, key, value)
    before, after = tomllib.loads(text), tomllib.loads(changed)
    assert at(after, table, key) == value
    again = fly_toml.edited(changed, table, key, at(before, table, key))
    assert tomllib.loads(again) == before
    lines, new_lines = text.splitlines(), changed.splitlines()
    assert len(set(new_lines) - set(lines)) == 1
    assert [line for line in new_lines if line.startswith("#")] == [line for line in lines if line.startswith("#")]


def test_a_comment_behind_a_value_stays() -> None:
    assert fly_toml.edited('a = 1 # one\nb = "#2"\n', "", "a", 3) == 'a = 3 # one\nb = "#2"\n'
    assert fly_toml.edited('b = "#2"\n', "", "b", "x") == 'b = "x"\n'


def test_a_table_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no table vm"):
        fly_toml.edited("a = 1\n", "vm", "size", "x")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text("a = 1\n")
    with pytest.raises(tomllib.TOMLDecodeError):
        fly_toml.write(path, "a = ")
    fly_toml.write(path, "a = 2\n")
    assert path.read_text() == "a = 2\n"
    assert [each.name for each in tmp_path.iterdir()] == ["fly.toml"]


def problems(text: str) -> list[str]:
    env = tomllib.loads(text).get("env", {})
    settings = {"DRAIN_TIMEOUT": "280", "TOTAL_TIMEOUT": "15m", "MAX_STREAMS": "2000", **env}
    return fly_toml.problems(FlyToml(Path("fly.toml"), tomllib.loads(text)), settings)


def test_ours_is_good(text: str) -> None:
    assert problems(text) == []
    assert (
        problems(text.replace('auto_stop_machines = "off"', 'auto_stop_machines = "stop"\nmin_machines_running = 1'))
        == []
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('primary_region = "nrt"', 'primary_region = "hkg"', "region hkg was retired by Fly"),
        ('kill_signal = "SIGTERM"', 'kill_signal = "SIGINT"', "kill_signal is not SIGTERM"),
        ('kill_timeout = "300s"', 'kill_timeout = "10m"', "above Fly's 300 s"),
        ('kill_timeout = "300s"', 'kill_timeout = "4m"', "kill_timeout (240 s) is not above DRAIN_TIMEOUT (280 s)"),
        ('kill_timeout = "300s"', "", "kill_timeout (5 s) is not above DRAIN_TIMEOUT"),
        ('wait_timeout = "10m"', 'wait_timeout = "5m"', "deploy.wait_timeout (300 s) is not above"),
        ("internal_port = 8080", "internal_port = 8081", "internal_port is not env.PORT"),
        ('path = "/ready"', 'path = "/"', "has no check of /ready"),
        ('type = "requests"', 'type = "connections"', "concurrency.type is not requests"),
        ("hard_limit = 1000", "hard_limit = 5000", "hard_limit is above MAX_STREAMS (2000)"),
        ("soft_limit = 200", "soft_limit = 1500", "soft_limit is above hard_limit"),
        ("idle_timeout = 960", "idle_timeout = 60", "idle_timeout is not above TOTAL_TIMEOUT"),
        ("compress = false", "compress = true", "compress is not false"),
        ('auto_stop_machines = "off"', 'auto_stop_machines = "stop"', "min_machines_running is below 1"),
        ('auto_stop_machines = "off"', "auto_stop_machines = true\nmin_machines_running = 0", "is below 1"),
        ("[[vm]]", "[[vmx]]", "[[vm]] is missing"),
        ("[env]", '[env]\nPOE_API_KEYS = "x"', "env holds a secret"),
        ("[env]", '[env]\nDRAIN_TIMEOUT = "5m"', "kill_timeout (300 s) is not above DRAIN_TIMEOUT (300 s)"),
        ("[env]", '[env]\nDRAIN_TIMEOUT = "soon"', "is not above DRAIN_TIMEOUT (nan s)"),
        ('PORT = "8080"', 'PORT = "many"', "internal_port is not env.PORT"),
        ("hard_limit = 1000", 'hard_limit = "x"', "hard_limit is above MAX_STREAMS"),
        ('kill_timeout = "300s"', 'kill_timeout = "ages"', "kill_timeout is above Fly's 300 s"),
    ],
)
def test_what_streams_would_not_survive(text: str, old: str, new: str, problem: str) -> None:
    assert old in text
    assert any(problem in each for each in problems(text.replace(old, new))), problems(text.replace(old, new))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300s", 300),
        ("5m0s", 300),
        ("1h2m3s", 3723),
        ("500ms", 0.5),
        (15, 15),
        ("1.5s", 1.5),
        ("1.5m", 90),
        ("0.5", 0.5),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert fly_toml.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", None, "x"])
def test_what_is_no_duration(text: object) -> None:
    found = fly_toml.duration(text)
    assert found != found  # not a number
