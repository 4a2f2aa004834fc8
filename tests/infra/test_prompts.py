"""Ctrl-C at every question that a task asks: one clear line, exit 130, and nothing that was not there before."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra import naming
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
    named: bool = True
    organizations: int = 1


NAME = "Name of the app, a new one or one of yours "
NAME_WANTED = "]: "
"""The end of that question, behind a suggestion that is new each time."""
KEYS_WANTED = "Poe keys, made at poe.com/api/keys (stays hidden as you type): "
NEW = {
    "setup: the app's name": Question(("setup",), NAME_WANTED, named=False),
    "setup: which organisation": Question(
        ("setup",), "Which organisation (org-0, org-1): ", environ={"POE_API_KEYS": KEYS}, organizations=2
    ),
    "setup: the Poe keys": Question(("setup",), KEYS_WANTED),
    "setup: go on": Question(("setup",), "Go on? [y/N]: ", ((KEYS_WANTED, KEYS),)),
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
    if not question.named:
        unname(shell)
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
        answers=[(KEYS_WANTED, KEYS), ("Go on? [y/N]: ", "y")],
    )
    assert seen.code == 0, seen.lines
    assert len(shell.state["apps"][APP]["machines"]) == 1
    assert [line for line in seen.lines if line.startswith("Base URL")]
    assert not [secret for secret in SECRETS if secret in seen.text]


def unname(shell: Shell) -> None:
    """Give fly.toml the name that everybody gets with this repository."""
    path = shell.folder / "fly.toml"
    path.write_text(path.read_text().replace(f'app = "{APP}"', f'app = "{naming.SHIPPED}"'))


def name_in_file(shell: Shell) -> str:
    return str(tomllib.loads((shell.folder / "fly.toml").read_text())["app"])


def test_the_name_that_the_repository_comes_with_is_not_taken_for_a_choice(shell: Shell) -> None:
    unname(shell)
    seen = shell.typed("setup", answers=[(NAME_WANTED, ""), (KEYS_WANTED, KEYS), ("Go on? [y/N]: ", "y")])
    assert seen.code == 0, seen.lines
    (name,) = shell.state["apps"]
    assert re.fullmatch("poe-proxy-[0-9a-f]{4}", name)
    assert name_in_file(shell) == name
    assert f"fly.toml names {name} now: commit it." in seen.lines
    again = shell.typed("setup", answers=[])
    assert (again.code, NAME in again.text, list(shell.state["apps"])) == (0, False, [name])


def test_an_app_of_ones_own_can_be_picked_by_its_name(shell: Shell) -> None:
    assert shell.run("setup", "--yes", POE_API_KEYS=KEYS)[0] == 0
    unname(shell)
    seen = shell.typed("setup", answers=[(NAME_WANTED, APP), ("Go on? [y/N]: ", "y")])
    assert seen.code == 0, seen.lines
    assert (list(shell.state["apps"]), name_in_file(shell)) == ([APP], APP)


def test_a_name_that_somebody_else_has_is_asked_for_again(shell: Shell) -> None:
    unname(shell)
    answers = [(NAME_WANTED, fake_flyctl.TAKEN[0]), (KEYS_WANTED, KEYS), ("Go on? [y/N]: ", "y")]
    seen = shell.typed("setup", answers=answers)
    assert (seen.code, shell.state["apps"], name_in_file(shell)) == (2, {}, naming.SHIPPED)
    assert "is somebody else's; nothing was made. Run `./dev setup` again with another one" in " ".join(seen.lines)


@pytest.mark.parametrize("flags", [("--yes",), ("--dry-run",), ("--app", APP)])
def test_whoever_says_so_is_not_asked_for_a_name(shell: Shell, flags: tuple[str, ...]) -> None:
    unname(shell)
    seen = shell.typed("setup", *flags, answers=[(KEYS_WANTED, CTRL_D)] if "--app" in flags else [])
    assert NAME not in seen.text
    assert shell.state["apps"] == {}


def test_whoever_has_set_the_name_is_not_asked_for_it(shell: Shell) -> None:
    unname(shell)
    seen = shell.typed("setup", answers=[(KEYS_WANTED, CTRL_D)], FLY_APP=APP)
    assert (seen.code, NAME in seen.text) == (2, False)


def test_a_name_that_is_none_is_told_before_anything_else_is_asked(shell: Shell) -> None:
    unname(shell)
    seen = shell.typed("setup", answers=[(NAME_WANTED, "My Gateway")])
    assert (seen.code, name_in_file(shell)) == (2, naming.SHIPPED)
    assert seen.lines[-1] == "'My Gateway' is no app name: small letters, digits and dashes, at most 63"
