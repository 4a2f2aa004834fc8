"""What holds for every task on Fly: its flags, its help, its dry run, its answer for scripts, hostile values."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

import pytest

import tasks
from infra import hints, terraform
from infra.fly import COMMANDS
from infra.fly_task import COMMON
from tests.infra import fake_flyctl
from tests.infra.flying import APP, KEYS, NEXT_TOKEN, TOKEN, Desk
from tests.infra.surface import parsed, surface

TASKS: dict[str, Sequence[str]] = {
    "setup": ["--machines", "2"],
    "secrets": ["--tokens-file", "TOKENS"],
    "secrets.list": [],
    "secrets.check": [],
    "secrets.remove": ["--name", "OLD"],
    "tokens.new": [],
    "deploy": ["--image", "registry.fly.io/x:y"],
    "rollback": ["--to", "v1"],
    "releases": [],
    "status": [],
    "logs": [],
    "open": [],
    "destroy": [],
    "certs": [],
    "certs.add": ["--host", "api.example.com"],
    "certs.check": ["--host", "old.example.com"],
    "certs.remove": ["--host", "old.example.com"],
    "scale": [],
    "scale.count": ["--machines", "3"],
    "scale.vm": ["--size", "shared-cpu-2x"],
    "scale.regions": ["--regions", "nrt,sin"],
    "scale.auto": ["--min", "1"],
    "monitor": [],
    "monitor.check": [],
    "doctor": [],
    "ips": [],
}
"""Every task of interface.md 7 that acts on the app, with flags that make it do something."""
FLAGS = {
    "setup": "org region keys-file tokens-file host image machines no-github",
    "secrets": "keys-file tokens-file grace old-tokens-file",
    "secrets.remove": "name",
    "tokens.new": "name",
    "deploy": "image strategy",
    "rollback": "to",
    "logs": "follow",
    "certs.add": "host",
    "certs.check": "host",
    "certs.remove": "host",
    "scale.count": "machines",
    "scale.vm": "size memory",
    "scale.regions": "regions",
    "scale.auto": "min soft hard",
    "monitor": "watch",
}
HOSTILE = (
    "two words",
    "-x",
    "--yes",
    "a\nb",
    "'quoted'",
    '"double"',
    "$(touch x)",
    "; ls",
    "a=b",
    "../..",
    "ü",
    "x" * 400,
    "%s",
    "",
)


@pytest.fixture
def running(desk: Desk) -> Desk:
    """An app with two releases, a certificate and a secret too many."""
    values = {"POE_API_KEYS": KEYS, "ACCESS_TOKENS": f"team:{TOKEN}"}
    for image in ("one", "two"):
        words = ("setup", "--yes", "--image", f"registry.fly.io/{APP}:{image}", "--host", "old.example.com")
        assert desk.run(*words, **values).code == 0
    desk.change(lambda state: state["apps"][APP]["secrets"].update(OLD={"value": "x"}))
    desk.change(lambda state: state["apps"][APP]["certs"]["old.example.com"].update(status="active"))
    desk.forget()
    return desk


def files(desk: Desk) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()}


def filled(desk: Desk, flags: Sequence[str]) -> list[str]:
    return [desk.write("tokens", f"team:{NEXT_TOKEN}") if word == "TOKENS" else word for word in flags]


def test_these_are_all_the_tasks_on_fly() -> None:
    contexts = {context.name: context for context in tasks.namespace.to_contexts()}
    names = {min([context.name, *context.aliases], key=len) for context in contexts.values() if "yes" in context.args}
    assert names - {"infra.apply", "monitor.setup"} == TASKS.keys()


@pytest.mark.parametrize("name", TASKS)
def test_a_dry_run_changes_nothing_and_prints_argument_lists(running: Desk, name: str) -> None:
    platform, before = {**running.state, "calls": None}, files(running)
    ended = running.run(name, *filled(running, TASKS[name]), "--dry-run")
    assert ended.code == 0, ended.err
    assert {**running.state, "calls": None} == platform
    assert files(running) == before
    if name in ("open", "tokens.new", "scale.auto"):
        assert ended.out == ""
        return
    for line in ended.out.splitlines():
        program, *words = shlex.split(line)
        assert program == "flyctl"
        parsed(words)
    assert ended.out


@pytest.mark.parametrize("name", TASKS)
def test_the_answer_for_scripts_is_one_json_value(running: Desk, name: str) -> None:
    ended = running.run(name, *filled(running, TASKS[name]), "--json", "--yes", "--app", APP)
    assert ended.code in (0, 4), ended.err
    json.loads(ended.out)


FAILURES: Mapping[str, Callable[[Desk], object]] = {
    "no app": lambda desk: desk.change(lambda state: state.update(apps={})),
    "no network": lambda desk: [desk.fault(command, "unreachable") for command in COMMANDS],
    "no login": lambda desk: desk.monkeypatch.setenv("FLY_API_TOKEN", "expired"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_json_value_or_none_and_a_line(running: Desk, failure: str) -> None:
    """Half an answer would be worse than none."""
    for name in TASKS:
        FAILURES[failure](running)
        if name in ("open", "tokens.new", "scale.auto") or (name, failure) == ("setup", "no app"):
            continue  # they need nothing of flyctl, or mend it
        ended = running.run(name, *filled(running, TASKS[name]), "--json", "--yes", "--app", APP)
        assert ended.code in (1, 3), f"{name}: {ended}"
        assert not ended.out or json.loads(ended.out), name
        assert ended.line or name == "doctor", name


@pytest.mark.parametrize("name", TASKS)
def test_help_tells_the_flags_and_what_it_runs(name: str, desk: Desk) -> None:
    shown = desk.run(name, "--help").out
    assert shown.startswith(f"Usage: ./dev {name} [")
    flags = set(re.findall(r"^  --([\w-]+)", shown, re.MULTILINE))
    assert flags == {*FLAGS.get(name, "").split(), *(flag.replace("_", "-") for flag in COMMON)}
    runs = re.search(r"Runs: (.+?)\n\n", shown, re.DOTALL)
    assert runs, shown
    listed = re.split(r"[;,]", " ".join(runs[1].split()))[0]
    if listed == "nothing of flyctl":
        return
    for step in listed.removeprefix("flyctl ").split(" · "):
        assert " ".join(word for word in step.split() if not word.startswith("-")) in COMMANDS, step


@pytest.mark.parametrize("name", TASKS)
def test_it_runs_what_its_help_says_and_nothing_else(running: Desk, name: str) -> None:
    running.run(name, *filled(running, TASKS[name]), "--yes", "--app", APP)
    body = tasks.namespace[name]
    said = " ".join((body.__doc__ or "").partition("Runs:")[2].split())
    for called in running.calls():
        command, _, _ = parsed(called.split())
        assert command in said, f"{name} runs {command}"


@pytest.mark.parametrize("name", [name for name in TASKS if name != "tokens.new"])
def test_a_hostile_name_of_an_app_never_reaches_flyctl(desk: Desk, name: str) -> None:
    for app in filter(None, HOSTILE):
        ended = desk.run(name, *filled(desk, TASKS[name]), f"--app={app}", "--yes", POE_API_KEYS=KEYS)
        assert ended.code == 2, app
        assert "\n" not in ended.err.strip()
        assert desk.children == []


TEXTS = [
    (name, flag)
    for name, flags in FLAGS.items()
    for flag in flags.split()
    if flag not in ("machines", "memory", "soft", "hard", "watch", "follow", "no-github")
]


@pytest.mark.parametrize(("name", "flag"), TEXTS, ids=[f"{name} --{flag}" for name, flag in TEXTS])
def test_hostile_values_are_refused_or_arrive_as_one_word(running: Desk, name: str, flag: str) -> None:
    for hostile in filter(None, HOSTILE):
        others = filled(running, TASKS[name])
        if f"--{flag}" in others:
            place = others.index(f"--{flag}")
            del others[place : place + 2]
        ended = running.run(name, *others, f"--{flag}={hostile}", "--yes")
        assert ended.code in (0, 1, 2, 3, 4)
        if ended.code == 2:
            assert len(ended.line) < 600
        for argv in running.state["calls"]:
            parsed(argv)
        running.change(lambda state: state.update(calls=[]))


@pytest.mark.parametrize(
    "words", [["--machines", "two"], ["--machines=-1"], ["--machines", "1e3"], ["--machines"], ["--what"]]
)
def test_wrong_flags_are_one_line_and_exit_2(desk: Desk, words: list[str]) -> None:
    ended = desk.run("scale.count", *words)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert desk.children == []


def test_the_app_is_named_by_flag_then_environment_then_file(running: Desk) -> None:
    assert running.run("status", "--app", "first", FLY_APP="second").code == 3
    assert running.run("status", FLY_APP="second").code == 3
    assert running.run("status").code == 0
    assert [line.rpartition("=")[2] for line in running.calls("status")] == ["first", "second", APP]
    (running.folder / "fly.toml").unlink()
    assert running.run("status").line == 'no app: give --app NAME, set FLY_APP, or write app = "NAME" into fly.toml'


def test_a_fly_toml_that_is_none_is_one_line(desk: Desk) -> None:
    (desk.folder / "fly.toml").write_text("app = ")
    ended = desk.run("status")
    assert ended.code == 2
    assert ended.line.startswith("fly.toml cannot be read: Invalid value")


@pytest.mark.parametrize(
    "line",
    ["http_service = 3", "env = []", 'vm = "large"', "[http_service]\nchecks = 1", "[http_service]\nconcurrency = 1"],
)
@pytest.mark.parametrize("name", ["deploy", "scale", "doctor", "setup", "scale.auto"])
def test_a_fly_toml_of_another_shape_is_one_line(desk: Desk, name: str, line: str) -> None:
    (desk.folder / "fly.toml").write_text(f'app = "{APP}"\n{line}\n')
    ended = desk.run(name, *TASKS[name], "--yes", POE_API_KEYS=KEYS)
    assert ended.code == 2
    assert ended.line.endswith("is of another kind than Fly's reference says")


def test_an_answer_in_another_shape_is_one_line(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_flyctl.Fly, "status", lambda _: {"Machines": [{"no": "id"}]})
    ended = running.run("status")
    assert ended.code == 1
    assert ended.line.startswith("unexpected KeyError at shapes.py:")
    assert ended.line.endswith("is flyctl of another version?")


def test_the_stand_in_refuses_what_flyctl_would() -> None:
    """Else the argument lists of all the tests here would prove nothing."""
    for words in (
        ["monitor", "create"],
        ["certs", "renew"],
        ["status", "--nope"],
        ["status", "surplus"],
        ["certs", "add"],
        ["scale", "count"],
        ["deploy", "--region=nrt"],
        ["secrets", "import", "surplus"],
        ["apps", "destroy"],
    ):
        with pytest.raises(ValueError, match=r"unknown|takes no|needs"):
            parsed(words)
    assert parsed(["scale", "count", "2", "-a", "x", "--yes"]) == (
        "scale count",
        {"--app": "x", "--yes": "true"},
        ["2"],
    )


def test_the_surface_is_of_the_pinned_flyctl() -> None:
    assert surface()["version"] == "0.4.83"
    assert len(surface()["commands"]) > 200


def test_the_next_step_acts_on_the_app_that_was_given(desk: Desk) -> None:
    """Whoever pastes it would else work on fly.toml's app, which is production's."""
    assert "`./dev setup --app other-staging` makes it" in desk.run("status", "--app", "other-staging").err
    staging = terraform.written("staging", "app")
    assert f"`./dev setup --app {staging}` makes it" in desk.run("infra.vars").err
    told = desk.run("doctor", "--app", "other-staging", "--json").json
    assert told[-1]["fix"] == "./dev setup --app other-staging"
    assert "`./dev setup --app other-staging` makes it" in desk.run("status", FLY_APP="other-staging").err
    assert "`./dev setup` makes it" in desk.run("status").err


@pytest.mark.parametrize("name", tasks.namespace.task_names)
def test_a_next_step_names_the_app_where_its_task_takes_one(name: str) -> None:
    takes = "app" in {each.name for each in tasks.namespace[name].get_arguments()}
    assert hints.about("x", f"`./dev {name}` does it") == f"`./dev {name}{' --app x' * takes}` does it"
    assert hints.about("x", f"./dev {name} --app y") == f"./dev {name} --app y"
