"""Ctrl-C at every question that a task asks: one clear line, exit 130, and nothing that was not there before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.infra import fake_flyctl
from tests.infra.flying import ALICE, APP, KEYS, NEXT_TOKEN, SECRETS, TOKEN
from tests.infra.shell import Shell, opened
from tests.infra.terminal import CTRL_C, CTRL_D

UNTOUCHED = "interrupted; nothing was changed. The same command goes on from there."


@dataclass(frozen=True)
class Question:
    """A task, what is answered before the question in point, and the end of that question."""

    words: tuple[str, ...]
    asks: str
    answers: tuple[tuple[str, str], ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    organizations: int = 1


NEW = {
    "setup: which organisation": Question(
        ("setup",), "Which organisation (org-0, org-1): ", environ={"POE_API_KEYS": KEYS}, organizations=2
    ),
    "setup: the Poe keys": Question(("setup",), "Poe keys, made at poe.com/api/keys (stays hidden as you type): "),
    "setup: go on": Question(
        ("setup",), "Go on? [y/N]: ", (("Poe keys, made at poe.com/api/keys (stays hidden as you type): ", KEYS),)
    ),
}
RUNNING = {
    "secrets: the keys": Question(("secrets",), "New Poe keys, or Enter to leave them (stays hidden as you type): "),
    "secrets: the tokens": Question(
        ("secrets",),
        "New access tokens, or Enter to leave them (stays hidden as you type): ",
        (("New Poe keys, or Enter to leave them (stays hidden as you type): ", ALICE),),
    ),
    "secrets: go on": Question(
        ("secrets",),
        "[y/N]: ",
        (
            ("New Poe keys, or Enter to leave them (stays hidden as you type): ", ALICE),
            ("New access tokens, or Enter to leave them (stays hidden as you type): ", f"team:{NEXT_TOKEN}"),
        ),
    ),
    "secrets.remove": Question(("secrets.remove", "--name", "OLD"), "[y/N]: "),
    "rollback": Question(("rollback",), "[y/N]: "),
    "scale.count": Question(("scale.count", "--machines", "1"), "[y/N]: "),
    "scale.vm": Question(("scale.vm", "--size", "shared-cpu-2x"), "[y/N]: "),
    "scale.regions": Question(("scale.regions", "--regions", "sin"), "[y/N]: "),
    "certs.remove": Question(("certs.remove", "--host", "api.example.com"), "[y/N]: "),
    "destroy": Question(("destroy",), "Type its name: "),
}


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("name", NEW)
def test_before_there_is_an_app(shell: Shell, name: str, key: str) -> None:
    question = NEW[name]
    state = shell.state
    state["orgs"] = {f"org-{number}": "" for number in range(question.organizations)}
    fake_flyctl.save(shell.state_file, state)
    nothing_happens(shell, question, key)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Shell]:
    """An app with two releases, for all questions: each of them leaves everything as it was."""
    with opened(tmp_path_factory.mktemp("running"), root) as made:
        values = {"POE_API_KEYS": KEYS, "ACCESS_TOKENS": f"team:{TOKEN}"}
        for image in ("registry.fly.io/x:1", "registry.fly.io/x:2"):
            words = ("setup", "--yes", "--no-github", "--machines", "2", "--host", "api.example.com", "--image", image)
            code, _, err = made.run(*words, **values)
            assert code == 0, err
        state = made.state
        state["apps"][APP]["secrets"]["OLD"] = {"value": "x"}
        fake_flyctl.save(made.state_file, state)
        yield made


@pytest.mark.parametrize("name", RUNNING)
def test_on_an_app_that_runs(running: Shell, name: str) -> None:
    nothing_happens(running, RUNNING[name], CTRL_C)


def nothing_happens(shell: Shell, question: Question, key: str) -> None:
    platform, files = shell.state["apps"], shell.files()
    seen = shell.typed(*question.words, answers=[*question.answers, (question.asks, key)], **question.environ)
    assert question.asks in seen.text, seen.lines
    assert "Traceback" not in seen.text
    if key == CTRL_C:
        assert (seen.code, seen.lines[-1]) == (130, UNTOUCHED)
    else:
        assert seen.code == 2
        assert seen.lines[-1].startswith(("nothing was changed", "no Poe keys", "--org"))
    assert seen.echoes
    assert not [secret for secret in SECRETS if secret in seen.text]
    assert shell.state["apps"] == platform
    assert shell.files() == files


@pytest.mark.parametrize("organizations", [1, 2])
def test_yes_asks_nothing_even_where_somebody_sits(shell: Shell, organizations: int) -> None:
    state = shell.state
    state["orgs"] = {f"org-{number}": "" for number in range(organizations)}
    fake_flyctl.save(shell.state_file, state)
    seen = shell.typed("setup", "--yes", answers=[])
    assert (seen.code, shell.state["apps"]) == (2, {})
    assert "stays hidden" not in seen.text
    assert seen.lines[-1].startswith("no Poe keys" if organizations == 1 else "give --org SLUG")


def test_answers_on_a_terminal_set_everything_up(shell: Shell) -> None:
    seen = shell.typed(
        "setup",
        answers=[("Poe keys, made at poe.com/api/keys (stays hidden as you type): ", KEYS), ("Go on? [y/N]: ", "y")],
    )
    assert seen.code == 0, seen.lines
    assert len(shell.state["apps"][APP]["machines"]) == 1
    assert [line for line in seen.lines if line.startswith("Base URL")]
    assert not [secret for secret in SECRETS if secret in seen.text]
