"""The development tasks: what they start, and what becomes of how it ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from invoke import Context, Exit

from infra import dev, environ, generated
from infra.dev import LANGCHAIN, NOTHING_COLLECTED

Started = list[tuple[str, ...]]
Machine = Callable[[dict[str, int]], Started]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Programs that only note their start, and end with the code given for a word in their argument list."""
    started: Started = []

    def run(argv: tuple[str, ...], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append(argv)
        text = " ".join(argv)
        return subprocess.CompletedProcess(argv, next((code for word, code in codes.items() if word in text), 0), "")

    codes: dict[str, int] = {}
    monkeypatch.setattr(subprocess, "run", run)

    def prepare(wanted: dict[str, int]) -> Started:
        codes.update(wanted)
        return started

    return prepare


def ran(started: Started, *words: str) -> list[tuple[str, ...]]:
    return [argv for argv in started if all(word in " ".join(argv) for word in words)]


def test_the_test_run_is_every_check_then_every_test_but_the_long(machine: Machine) -> None:
    started = machine({})
    dev.test(Context())
    for tool in ("ruff", "mypy", "lint-imports", "generate --check", "openapi_spec_validator", "hadolint"):
        assert len(ran(started, tool)) == 1, tool
    assert ran(started, "pytest", "-m not long", "-n 2")
    assert ran(started, "pytest", LANGCHAIN)
    assert not ran(started, "-m long")


def test_the_long_half_is_only_that(machine: Machine) -> None:
    started = machine({})
    dev.test(Context(), long=True)
    assert [argv[0] for argv in started] == [sys.executable]
    assert ran(started, "pytest", "-m long")


def test_a_selection_runs_the_tests_it_names_and_no_checks(machine: Machine) -> None:
    started = machine({})
    dev.test(Context(), select="keys and not pool")
    assert len(ran(started, "pytest", "-k keys and not pool")) == len(started) == 2


def test_a_selection_that_selects_nothing_is_wrong_use(machine: Machine) -> None:
    machine({"pytest": NOTHING_COLLECTED})
    with pytest.raises(Exit) as ended:
        dev.test(Context(), select="nothing")
    assert ended.value.code == 2


def test_a_run_in_which_there_was_nothing_to_do_has_not_failed(machine: Machine) -> None:
    machine({"pytest": NOTHING_COLLECTED})
    dev.test(Context(), long=True)


@pytest.mark.parametrize("culprit", ["mypy", "hadolint", "not long", LANGCHAIN])
def test_one_failure_fails_the_run_but_does_not_stop_it(
    machine: Machine, culprit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = machine({culprit: 1})
    with pytest.raises(Exit) as ended:
        dev.test(Context())
    assert ended.value.code == 1
    assert len(started) == len(dev.CHECKS) + 2
    assert capsys.readouterr().out.count("failed (1)") == 1


def test_a_step_that_hangs_is_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(argv: tuple[str, ...], **_: Any) -> None:
        raise subprocess.TimeoutExpired(argv, 300)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(Exit) as ended:
        dev.check(Context())
    assert ended.value.code == 1


def test_stale_code_is_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "files", dict)
    monkeypatch.setattr(generated, "stale", lambda _: ["service/contract/models.py is stale"])
    with pytest.raises(Exit) as ended:
        dev.generate(Context(), check=True)
    assert (ended.value.code, ended.value.message) == (4, "service/contract/models.py is stale")


def test_fresh_code_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "files", dict)
    monkeypatch.setattr(generated, "write", lambda _: pytest.fail("it was written"))
    dev.generate(Context(), check=True)


def test_no_tool_and_no_test_sees_a_secret_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Mapping[str, str]] = []

    def run(argv: tuple[str, ...], *, env: Mapping[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.append(env)
        return subprocess.CompletedProcess(argv, 0, "")

    monkeypatch.setattr(subprocess, "run", run)
    for name in environ.SECRETS:
        monkeypatch.setenv(name, "planted-secret")
    monkeypatch.setenv("GOPATH", "/somewhere")
    dev.test(Context())
    for task in (dev.bench, dev.failover, dev.soak):
        context = Context()
        context._set(remainder="")
        with pytest.raises(Exit):
            task(context)
    assert len(seen) == len(dev.CHECKS) + 2 + 3
    assert all("planted-secret" not in environment.values() for environment in seen)
    assert all(environment["GOPATH"] == "/somewhere" for environment in seen)


def test_serving_passes_on_what_was_said_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr("os.execv", lambda _, argv: given.extend(argv[1:]))
    monkeypatch.setattr("os.chdir", lambda _: None)
    dev.serve(Context(), port=8081)
    assert given == ["-m", "service", "--dev", "--port", "8081"]


def test_the_benchs_exit_code_is_the_tasks(machine: Machine) -> None:
    started = machine({"bench": 3})
    context = Context()
    context._set(remainder="--name 'two words'")
    with pytest.raises(Exit) as ended:
        dev.bench(context)
    assert ended.value.code == 3
    assert started == [(sys.executable, "-m", "bench", "--name", "two words")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ()),
        ({"full": True, "save": "docs/failures.md"}, ("--save", "docs/failures.md", "--full")),
        (
            {"url": "http://127.0.0.1:4000/v1", "wire": "chat", "models": False},
            ("--url", "http://127.0.0.1:4000/v1", "--wire", "chat", "--no-models"),
        ),
        ({"upstream_port": 9000, "token_file": "f"}, ("--upstream-port", "9000", "--token-file", "f")),
    ],
)
def test_the_scorecard_is_told_what_was_said(machine: Machine, given: dict[str, Any], words: tuple[str, ...]) -> None:
    started = machine({"bench.failover": 1})
    with pytest.raises(Exit) as ended:
        dev.failover(Context(), **given)
    assert ended.value.code == 1
    assert started == [(sys.executable, "-m", "bench.failover", *words)]


def test_the_soak_is_told_how_long_and_with_which_dice(machine: Machine) -> None:
    started = machine({})
    with pytest.raises(Exit) as ended:
        dev.soak(Context(), minutes=0.5, seed=7)
    assert ended.value.code == 0
    assert started == [(sys.executable, "-m", "bench.soak", "--minutes", "0.5", "--seed", "7")]
