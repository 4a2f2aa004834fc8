"""What people see: colour on a terminal only, plain lines elsewhere, and no secret in either."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from invoke import Exit

from infra.console import BAD, GOOD, Console, asks
from infra.redact import Redactor
from tests.infra.terminal import CONTROL_KEYS, on_terminal

SHOW = """
    import time
    from infra.console import BAD, GOOD, Console
    from infra.redact import Redactor
    console = Console(Redactor(["s3cret-value"]))
    console.line("hello s3cret-value [red]not markup[/]")
    console.point(GOOD, "tools", "flyctl [0.4.83]")
    console.point(BAD, "login", "none", "log in")
    console.table(("NAME", "VALUE"), [("a", "s3cret-value"), ("b", "[bold]x")])
    with console.progress("deploying"):
        time.sleep(0.2)
        console.hear("> Updating s3cret-value")
    console.done("deploy", "v2 runs")
"""


def test_a_terminal_gets_colour_and_no_secret(root: Path) -> None:
    shown = on_terminal(root, SHOW)
    assert "\x1b[32m✓" in shown
    assert "[red]not markup[/]" in shown
    assert "[bold]x" in shown
    assert "deploying" in shown
    assert "s3cret" not in shown


def test_a_narrow_terminal_cuts_nothing_off(root: Path) -> None:
    show = """
        from infra.console import Console
        from infra.redact import Redactor
        Console(Redactor()).table(("MACHINE", "IMAGE"), [("6b86b273ff34fc", "registry.fly.io/gateway:0123456789ab")])
    """
    shown = on_terminal(root, show, COLUMNS="30")
    assert "…" not in shown
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert "".join(row[0] for row in rows if len(row) > 1) == "6b86b273ff34fc"
    assert "".join(row[-1] for row in rows if row) == "registry.fly.io/gateway:0123456789ab"


def test_a_narrow_terminal_gets_whole_words_under_each_other_and_whole_commands(root: Path) -> None:
    show = """
        from infra.console import BAD, Console
        from infra.redact import Redactor
        console = Console(Redactor())
        console.say("two machines are not ready: see `./dev logs --app gateway-of-tests` for what they said")
        console.point(BAD, "health", "two machines of the app are not ready, checks 0/1", "./dev logs")
        console.done("deploy", "v2 runs on two machines with the image registry.fly.io/gateway:0123456789ab")
        console.line("what a machine said is not ours to break, however long its lines may be")
    """
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(root, show, COLUMNS="60", NO_COLOR="1"))
    assert shown.replace("\r", "").splitlines() == [
        "two machines are not ready: see",
        "`./dev logs --app gateway-of-tests` for what they said",
        "✗ health         two machines of the app are not ready,",
        "                 checks 0/1 → ./dev logs",
        "✓ deploy v2 runs on two machines with the image",
        "         registry.fly.io/gateway:0123456789ab",
        "what a machine said is not ours to break, however long its lines may be",
    ]


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(root: Path, environ: dict[str, str]) -> None:
    shown = on_terminal(root, SHOW, **environ)
    assert "\x1b[3" not in shown
    assert "flyctl [0.4.83]" in shown
    assert "s3cret" not in shown


def test_elsewhere_it_is_plain_lines(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHOW)], cwd=root, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.splitlines() == [
        "hello *** [red]not markup[/]",
        "ok      tools          flyctl [0.4.83]",
        "failed  login          none → log in",
        "NAME  VALUE",
        "a     ***",
        "b     [bold]x",
    ]
    assert done.stderr.splitlines() == ["deploying …", "  > Updating ***", "deploy: v2 runs"]


ASK = """
    from infra.console import Console
    from infra.redact import Redactor
    console = Console(Redactor())
    print("GOT", repr(console.confirm("Go on?", yes=False)), len(console.ask("Keys", hidden=True, otherwise="")))
"""


def test_a_question_is_answered_and_a_secret_is_not_echoed(root: Path) -> None:
    shown = on_terminal(root, ASK, [("Go on? [y/N]: ", "y"), ("Keys (stays hidden as you type): ", "s3cret-value")])
    assert "GOT True 12" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("typed", ["n", "", "nein"])
def test_anything_but_yes_is_no(root: Path, typed: str) -> None:
    assert "GOT False 0" in on_terminal(
        root, ASK, [("Go on? [y/N]: ", typed), ("Keys (stays hidden as you type): ", "")]
    )


def test_without_a_terminal_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(Exit, match="give --yes to go on without a question") as refused:
            Console(Redactor()).confirm("Go on?", yes=False)
    assert refused.value.code == 2


SPEAKS_BY_ITSELF = """
    from infra.console import Console
    from infra.redact import Redactor
    try:
        Console(Redactor()).ask("Name", otherwise="")
    finally:
        print("then")
"""


@pytest.mark.parametrize("key", CONTROL_KEYS)
def test_what_follows_an_answer_that_never_came_has_a_line_of_its_own(root: Path, key: str) -> None:
    shown = on_terminal(root, SPEAKS_BY_ITSELF, [("Name: ", key)])
    assert re.search(r"Name: (\^C)?\r\nthen\r\n", shown), shown


@pytest.mark.parametrize("secret", ['s3cret"quoted', "s3cret\\slashed", "s3cret-ünicode", "2026"])
def test_a_secret_of_any_spelling_is_hidden_and_breaks_no_json(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console(Redactor([secret]), as_json=True).result({"a": [f"x {secret} y", {secret: 2026}], "b": (1.5, None, True)})
    assert json.loads(capsys.readouterr().out) == {"a": ["x *** y", {"***": 2026}], "b": [1.5, None, True]}


def test_what_looks_like_a_token_breaks_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console(Redactor(), as_json=True).result({"message": "Authorization: FlyV1 abc", "next": 'say "FlyV1 abc" now'})
    told = json.loads(capsys.readouterr().out)
    assert told == {"message": "Authorization: ***", "next": 'say "***" now'}


def test_what_is_said_beside_the_answer_ends_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """`./dev deploy 2>&1 | head` must not leave a deployment half-way; an answer that nobody takes may end it."""

    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    monkeypatch.setattr("sys.stdout", Closed())
    console = Console(Redactor())
    console.say("a")
    console.done("a", "b")
    console.hear("a")
    with console.progress("a"):
        pass
    with pytest.raises(BrokenPipeError):
        console.line("a")


def test_nobody_is_asked_who_cannot_see_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """`2>/dev/null`: questions are on standard error."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert not asks()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert asks()


def test_scripts_get_one_value_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(Redactor(["s3cret-value"]), as_json=True)
    console.line("a line")
    console.point(GOOD, "a", "b")
    console.point(BAD, "a", "b")
    console.table(("A",), [("x",)])
    console.secret("s3cret-value")
    console.result({"a": "s3cret-value"})
    assert capsys.readouterr().out == '{\n  "a": "***"\n}\n'
