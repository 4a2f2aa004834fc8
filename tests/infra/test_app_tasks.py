"""`status`, `releases`, `logs`, `open`, `ips`, `destroy`: what they show, and what they ask."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from infra import process
from infra.process import Finished
from tests.infra import fake_flyctl
from tests.infra.flying import APP, KEYS, SECRETS, TOKEN, Desk

IMAGE = f"registry.fly.io/{APP}:one"


@pytest.fixture
def running(desk: Desk) -> Desk:
    assert desk.run("setup", "--yes", "--machines", "2", "--image", IMAGE, POE_API_KEYS=KEYS).code == 0
    desk.forget()
    return desk


def test_status_shows_each_machine(running: Desk) -> None:
    first, head, *rows = running.run("status").out.splitlines()
    assert first == f"{APP} (personal) · https://{APP}.fly.dev · v1"
    assert head.split() == ["MACHINE", "REGION", "STATE", "CHECKS", "SIZE", "IMAGE"]
    assert [row.split()[1:] for row in rows] == [["nrt", "started", "1/1", "shared-cpu-1x", "256", "MB", IMAGE]] * 2


def test_status_for_scripts(running: Desk) -> None:
    told = running.run("status", "--json").json
    assert (told["app"], told["version"], [each["healthy"] for each in told["machines"]]) == (APP, 1, [True, True])


def test_releases_are_newest_first(running: Desk) -> None:
    assert running.run("deploy", "--image", f"{IMAGE}-more").code == 0
    rows = running.run("releases").out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["v2", "v1"]
    assert [each["image"] for each in running.run("releases", "--json").json] == [f"{IMAGE}-more", IMAGE]


def test_logs_come_as_lines(running: Desk) -> None:
    rows = running.run("logs").out.splitlines()
    assert len(rows) == 2
    assert all(" runs" in row and "nrt" in row for row in rows)
    assert [each["level"] for each in running.run("logs", "--json").json] == ["info", "info"]


def test_logs_that_are_followed_come_as_they_are(running: Desk) -> None:
    ended = running.run("logs", "--follow")
    assert ended.out.count(" runs\n") == 2
    assert running.calls("logs") == [f"logs --app={APP}"]


def test_a_dry_run_follows_nothing(running: Desk) -> None:
    assert running.run("logs", "--follow", "--dry-run").out == f"flyctl logs --app={APP}\n"
    assert running.calls() == []


def test_a_log_without_an_end_is_no_json_value(running: Desk) -> None:
    ended = running.run("logs", "--follow", "--json")
    assert (ended.code, running.children) == (2, [])
    assert ended.line.startswith("--follow goes on without an end")


def test_ctrl_c_ends_what_is_followed_without_a_word(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.fly.Fly.stream", interrupted)
    ended = running.run("logs", "--follow")
    assert (ended.code, ended.err) == (130, "")


def test_who_follows_no_further_ends_it(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./dev logs --follow | head`: the reader of flyctl's lines goes, and flyctl with it."""

    def unread(*_: Any) -> None:
        raise BrokenPipeError

    def start(argv: Any, *, hear: Any, **_: Any) -> Finished:
        with contextlib.suppress(BrokenPipeError):
            hear("a line")
        return Finished(-13)

    monkeypatch.setattr("infra.console.Console.line", unread)
    monkeypatch.setattr(process, "run", start)
    ended = running.run("logs", "--follow")
    assert (ended.code, ended.err) == (141, "")


def test_a_silent_app_has_no_log(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """flyctl waits for the first entry as long as there is none, and a person waits for flyctl."""
    waited: list[float] = []

    def start(argv: Any, **more: Any) -> Finished:
        waited.append(more["seconds"])
        return Finished(1, "", "", timed_out=True)

    monkeypatch.setattr(process, "run", start)
    assert running.run("logs").out == "the machines said nothing lately\n"
    (seconds,) = waited
    assert 5 <= seconds <= 20


@pytest.mark.parametrize("text", ["<html>", "null", "[]", '{"message": "cut'])
def test_what_is_no_log_is_one_line(running: Desk, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(fake_flyctl.Fly, "logs", lambda _: text)
    ended = running.run("logs")
    assert (ended.code, ended.line) == (1, "flyctl logs printed something else than a log; is it too old?")


@pytest.mark.parametrize("name", ["status", "monitor", "monitor.check"])
@pytest.mark.parametrize("told", [None, [], {}])
def test_a_status_that_is_none_is_a_failure(
    running: Desk, monkeypatch: pytest.MonkeyPatch, name: str, told: object
) -> None:
    """And not an app without a name."""
    monkeypatch.setattr(fake_flyctl.Fly, "status", lambda _: told)
    ended = running.run(name)
    assert ended.code == 1
    assert "is flyctl of another version?" in ended.line


def test_open_says_where(running: Desk) -> None:
    assert running.run("open").out == f"{running.url}\n"
    assert running.children == []


def test_a_browser_sees_no_secret(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def start(argv: list[str], *, environ: dict[str, str], **_: Any) -> Finished:
        started.append((argv, environ))
        return Finished(0)

    monkeypatch.setattr(process, "run", start)
    monkeypatch.setattr("infra.console.Console.on_terminal", True)
    assert running.run("open", DISPLAY=":0", POE_API_KEYS=KEYS, ACCESS_TOKENS=TOKEN).code == 0
    ((argv, environ),) = started
    assert argv[1:] == ["-m", "webbrowser", running.url]
    assert environ["DISPLAY"] == ":0"
    assert not [secret for secret in SECRETS if secret in " ".join(environ.values())]


def test_ips(running: Desk) -> None:
    assert [line.split()[:2] for line in running.run("ips").out.splitlines()[1:]] == [
        ["203.0.113.7", "shared_v4"],
        ["2001:db8:1::2", "v6"],
    ]


def test_destroy_takes_the_name_for_an_answer(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([f"not-{APP}", APP])
    monkeypatch.setattr("infra.console.Console.ask", lambda *_, **__: next(answers))
    ended = running.run("destroy")
    assert (ended.code, ended.line) == (2, "that is another name; nothing was changed")
    assert APP in running.state["apps"]
    assert running.run("destroy").code == 0
    assert running.state["apps"] == {}
    assert [path.suffix for path in (running.folder / ".poe-proxy").iterdir() if path.name.startswith(APP)] == [".lock"]


def test_destroy_without_a_terminal_wants_the_name_said(running: Desk) -> None:
    assert running.run("destroy").line.startswith(f"give --app {APP} --yes to destroy it without a question")
    assert running.run("destroy", "--yes").line == f"with --yes the name has to be said: --app {APP}"
    assert running.writes() == []
    assert running.run("destroy", "--yes", "--app", APP).code == 0
    assert running.state["apps"] == {}


def test_destroy_tells_what_github_keeps(running: Desk) -> None:
    """Else the next push would deploy to nowhere."""
    running.gh = {"login": True, "environments": {}}
    assert running.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    ended = running.run("destroy", "--yes", "--app", APP)
    assert ended.code == 0
    assert "`gh secret delete FLY_API_TOKEN --env production` ends deployments from there" in ended.line


def test_destroy_whose_answer_was_lost_says_how_to_forget_the_rest(running: Desk) -> None:
    running.fault("apps destroy", "lost")
    assert running.run("destroy", "--yes", "--app", APP).code == 1
    ended = running.run("destroy", "--yes", "--app", APP)
    assert (ended.code, ended.line) == (
        3,
        f"there is no app {APP}, or not for this login; if it is gone for good: rm .poe-proxy/{APP}.*",
    )


def test_destroying_what_is_not_there(desk: Desk) -> None:
    ended = desk.run("destroy", "--yes", "--app", APP)
    assert ended.code == 3
    assert desk.writes() == []
