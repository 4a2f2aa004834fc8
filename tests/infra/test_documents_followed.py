"""Every command of ours in the documents about Fly and what is around it is run, where the document says to run it.

A document is read passage by passage: a paragraph, a row of a table, a code block. Each passage begins at a desk in the
state that it speaks of (`SITUATIONS`, `TROUBLES`; else an app that runs), its commands are run in their order, and each
has to end with the exit code that stands beside it, or 0. So a command that is added to a document is run here.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.mark import ParameterSet

import tasks
from infra import alerts, generated, monitor, process
from tests.infra import fake_flyctl, told
from tests.infra import test_terraform_tasks as by_terraform
from tests.infra.flying import ALICE, APP, BOB, CAROL, KEYS, NEXT_TOKEN, Desk
from tests.infra.surface import surface
from tests.infra.terraform_cli import write
from tests.infra.told import Passage

ROOT = Path(__file__).resolve().parents[2]
FLY, TWIN, RUNBOOK = "docs/fly.md", "docs/fly.zh-CN.md", "docs/runbook.md"
AROUND = ("docs/monitoring.md", "docs/infrastructure.md")
ONE, TWO = f"registry.fly.io/{APP}:one", f"registry.fly.io/{APP}:two"
OLD_TOKEN = "tok-5e4d3c2b1a09f8e7d6"
REAL_RUN = process.run

ELSEWHERE = {
    ("docs/infrastructure.md", "check"): "it takes half a minute; test_dev_tasks runs it with programs that only start",
    ("docs/infrastructure.md", "test"): "it would run all tests; test_dev_tasks runs it with programs that only start",
}
"""Page and task of the commands that are not run here, and why."""

OF_NO_SURFACE = {"storage create": "an extension, which flyctl_surface.json leaves out"}
Situation = Callable[[Desk], Iterator[None]]

providers, state, tree = by_terraform.providers, by_terraform.state, by_terraform.tree


def passages(page: str) -> list[Passage]:
    return told.passages(page, (ROOT / page).read_text("utf-8"))


def to_run(passage: Passage) -> list[told.Told]:
    return [each for each in passage.commands if (passage.page, each.task) not in ELSEWHERE]


# What happened before a passage, and behind `yield` what its commands must have led to.


def nothing_yet(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state.update(apps={}))
    shutil.rmtree(desk.folder / ".poe-proxy")
    yield
    assert len(desk.app["machines"]) >= 1
    assert len([each for each in desk.app["tokens"] if not each["revoked"]]) == 1


def gh_logged_in(desk: Desk) -> Iterator[None]:
    desk.gh = {"login": True, "environments": {}}
    yield
    assert "FLY_API_TOKEN" in desk.gh["environments"]["production"]


def gh_and_a_name_for_staging(desk: Desk) -> Iterator[None]:
    desk.gh = {"login": True, "environments": {}}
    yield
    assert {"FLY_API_TOKEN", "POE_API_KEYS", "ACCESS_TOKENS"} <= desk.gh["environments"]["staging"].keys()


def a_key_leaked(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state.update(dead_keys=[ALICE]))
    desk.give("keys.txt", f"alice:{CAROL}\nbob:{BOB}\n")
    yield
    assert all(ALICE not in each["secrets"]["POE_API_KEYS"] for each in desk.app["machines"])
    assert all(CAROL in each["secrets"]["POE_API_KEYS"] for each in desk.app["machines"])


def a_token_leaked(desk: Desk) -> Iterator[None]:
    yield
    leaked = sha256(OLD_TOKEN.encode()).hexdigest()
    for each in desk.app["machines"]:
        assert NEXT_TOKEN in each["secrets"]["ACCESS_TOKENS"]
        assert OLD_TOKEN not in each["secrets"]["ACCESS_TOKENS"]
        assert leaked not in each["secrets"]["ACCESS_TOKENS"]


def a_deploy_token_leaked(desk: Desk) -> Iterator[None]:
    flyctl(desk, "tokens", "revoke", desk.app["tokens"][0]["id"])
    yield
    assert [bool(each["revoked"]) for each in desk.app["tokens"]] == [True, False]


def a_deploy_token_ends_soon(desk: Desk) -> Iterator[None]:
    ends = f"{datetime.now(UTC) + timedelta(days=13):%Y-%m-%d %H:%M:%S} +0000 UTC"
    desk.change(lambda state: state["apps"][APP]["tokens"][0].update(ends=ends))
    yield
    assert [bool(each["revoked"]) for each in desk.app["tokens"]] == [True, False]


def a_deployment_failed(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state["sick_images"].append(f"{TWO}-sick"))
    ended = desk.run("deploy", "--image", f"{TWO}-sick")
    assert (ended.code, "serves again" in ended.line) == (1, True)
    yield
    assert {each["image"] for each in desk.app["machines"]} == {TWO}


def going_back_failed(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state["sick_images"].extend([TWO, f"{TWO}-sick"]))
    ended = desk.run("deploy", "--image", f"{TWO}-sick")
    assert (ended.code, "failed too" in ended.line) == (1, True)
    yield
    assert {each["image"] for each in desk.app["machines"]} == {ONE}


def the_region_is_down(desk: Desk) -> Iterator[None]:
    yield
    assert {each["region"] for each in desk.app["machines"]} == {"sin"}


def the_app_is_gone(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state.update(apps={}))
    yield
    assert all(NEXT_TOKEN in each["secrets"]["ACCESS_TOKENS"] for each in desk.app["machines"])


def the_folder_is_gone(desk: Desk) -> Iterator[None]:
    shutil.rmtree(desk.folder / ".poe-proxy")
    yield


def the_access_token_is_lost(desk: Desk) -> Iterator[None]:
    shutil.rmtree(desk.folder / ".poe-proxy")
    (desk.folder / "tokens.txt").unlink()
    yield
    token = (desk.folder / "tokens.txt").read_text().strip()
    assert re.fullmatch(r"me:[0-9a-f]{48}", token)
    assert all(each["secrets"]["ACCESS_TOKENS"] == token for each in desk.app["machines"])


def the_end(desk: Desk) -> Iterator[None]:
    yield
    assert desk.state["apps"] == {}


def the_workflow_deploys(desk: Desk) -> Iterator[None]:
    desk.monkeypatch.setenv("GITHUB_ACTIONS", "true")
    yield


def the_workflow_rotates(desk: Desk) -> Iterator[None]:
    desk.monkeypatch.setenv("GITHUB_ACTIONS", "true")
    desk.monkeypatch.setenv("POE_API_KEYS", f"carol:{CAROL}")
    desk.monkeypatch.setenv("ACCESS_TOKENS", f"team:{NEXT_TOKEN}")
    yield
    assert all(each["secrets"]["POE_API_KEYS"] == f"carol:{CAROL}" for each in desk.app["machines"])


def fly_was_asked(desk: Desk) -> Iterator[None]:
    assert desk.run("infra.vars", "--environment", "production").code == 0
    yield


SITUATIONS: dict[str, Situation] = {
    "<flyctl auth login\n": nothing_yet,
    "--region nrt --machines 2": nothing_yet,
    "<gh auth login\n": gh_logged_in,
    "-staging --keys-file": gh_and_a_name_for_staging,
    "<./dev secrets --keys-file keys.txt --yes>": a_key_leaked,
    "<./dev secrets --tokens-file tokens.txt --grace 0 --yes>": a_token_leaked,
    "**A leaked deploy token**": a_deploy_token_leaked,
    "Deploy tokens end after": a_deploy_token_ends_soon,
    "| a deployment failed": a_deployment_failed,
    "| `going back": going_back_failed,
    "| a region of Fly's is down": the_region_is_down,
    "| the app, or": the_app_is_gone,
    "| this folder": the_folder_is_gone,
    "| the access token |": the_access_token_is_lost,
    "<./dev destroy>": the_end,
    "<| `./dev infra.plan --environment production` |": fly_was_asked,
    "<| `./dev infra.plan --environment production --check` |": fly_was_asked,
    "<| `./dev infra.apply": fly_was_asked,
    "| `deploy` |": the_workflow_deploys,
    "| `rotate` |": the_workflow_rotates,
}
"""A piece of a passage → what happened before it."""


def a_bad_release(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state["sick_images"].append(TWO))
    yield
    assert TWO not in {each["image"] for each in desk.app["machines"]}


def every_key_refused(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state.update(dead_keys=[ALICE, BOB]))
    desk.give("keys.txt", f"alice:{CAROL}\n")
    yield


def one_key_dry(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state.update(dry_keys=[ALICE]))
    desk.give("keys.txt", f"bob:{BOB}\n")
    yield
    assert all(ALICE not in each["secrets"]["POE_API_KEYS"] for each in desk.app["machines"])


def every_key_limited(desk: Desk) -> Iterator[None]:
    desk.change(lambda state: state.update(limited_keys=[ALICE, BOB]))
    desk.give("keys.txt", f"{KEYS},carol:{CAROL}\n")
    yield


def much_to_do(desk: Desk) -> Iterator[None]:
    yield
    assert len(desk.app["machines"]) == 3


def little_memory(desk: Desk) -> Iterator[None]:
    yield
    assert {each["memory"] for each in desk.app["machines"]} == {512}
    assert f"> {int(512 * 2**20 * alerts.FULL)}" in (desk.folder / "alerts.yaml").read_text()


def nothing_broken(_: Desk) -> Iterator[None]:
    yield


TROUBLES: dict[str, Situation] = {
    "GatewayAbsent": a_bad_release,
    "RequestsFail": a_bad_release,
    "RateLimited": every_key_limited,
    "FirstEventSlow": nothing_broken,
    "OverheadHigh": much_to_do,
    "NoUsableKey": every_key_refused,
    "KeyRevoked": a_key_leaked,
    "KeyDry": one_key_dry,
    "PointsRunOut": nothing_broken,
    "StreamsNearLimit": much_to_do,
    "MemoryHigh": little_memory,
    "GatewayRestarts": a_bad_release,
}
"""An alert → what sets it off, and what is to be seen when it is over."""


@pytest.fixture
def running(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Two machines on a second release, an access token in use, the files that the documents speak of, a terminal."""
    monkeypatch.setattr("infra.console.Console.ask", answer)
    monkeypatch.setattr("infra.credentials.asks", lambda: True)
    monkeypatch.setattr(monitor, "time", SimpleNamespace(monotonic=time.monotonic, sleep=rings))
    # Everything that is generated is about the repository; the alerts also look at fly.toml, here the desk's.
    monkeypatch.setattr(alerts, "ROOT", desk.folder)
    monkeypatch.setattr(alerts, "TARGET", desk.folder / "alerts.yaml")
    monkeypatch.setattr(generated, "files", alerts.files)
    desk.give("keys.txt", KEYS)
    desk.give("tokens.txt", f"team:{OLD_TOKEN}")
    files = ("--keys-file", "keys.txt", "--tokens-file", "tokens.txt")
    assert desk.run("setup", "--yes", "--machines", "2", "--image", ONE, *files).code == 0
    assert desk.run("deploy", "--image", TWO).code == 0
    desk.give("tokens.txt", f"team:{NEXT_TOKEN}\n")
    return desk


@pytest.fixture
def around(running: Desk, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The same with Terraform, a bucket for its state and a Grafana; production is made of everything."""
    environ = request.getfixturevalue("providers")[1]
    bucket = request.getfixturevalue("state")
    folder = request.getfixturevalue("tree").parent / "production"
    zone = {"zone_name": '"example.com"', "zone_id": '"0123456789abcdef0123456789abcdef"'}
    own = {"app": f'"{APP}"', "fly_org": '"personal"', "hostname": '"poe.example.com"'}
    write(folder, **{**by_terraform.VALUES, **zone, **own})
    (running.folder.parent / "terraform.rc").touch()
    with by_terraform.grafana() as grafana:
        grafana.source["uid"] = "poe-proxy-fly-production"
        settings = {
            **environ,
            **by_terraform.PLANTED,
            "TERRAFORM": str(by_terraform.BINARY),
            "TF_CLI_CONFIG_FILE": str(running.folder.parent / "terraform.rc"),
            "TF_STATE_BUCKET": "state",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_ENDPOINT_URL_S3": bucket.url,
            "GRAFANA_URL": grafana.url,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        for name in ("POE_API_KEYS", "ACCESS_TOKENS"):
            monkeypatch.delenv(name)

        def run(argv: Sequence[str], **rest: Any) -> process.Finished:
            return (REAL_RUN if argv[0] == by_terraform.BINARY else running.start)(argv, **rest)

        monkeypatch.setattr(process, "run", run)
        yield running


def answer(_: Any, question: str, **__: Any) -> str:
    """What somebody types."""
    return KEYS if "keys" in question else "" if "tokens" in question else APP if "Type its name" in question else "y"


def rings(seconds: float) -> None:
    """Nobody waits in a test: whoever repeats something for ever is stopped."""
    raise KeyboardInterrupt


def flyctl(desk: Desk, *words: str) -> None:
    """A call that a person makes."""
    code, _, error = fake_flyctl.run(words, b"", {"FLY_API_TOKEN": "a-person's"}, desk.state_file)
    assert code == 0, error


def follow(desk: Desk, passage: Passage) -> None:
    """Run the commands of a passage as its reader would."""
    for each in to_run(passage):
        ended = desk.run(*each.words)
        said = "\n".join(f"{ended.out}{ended.err}".splitlines()[-12:])
        assert ended.code == each.code, f"{passage}: ./dev {each} ended with {ended.code}: {said}"
        if each.appends_to:
            with (desk.folder / each.appends_to).open("a") as file:
                file.write(ended.out)
            desk.given.add(desk.folder / each.appends_to)


def needs_terraform(found: Sequence[Passage]) -> bool:
    tasks_of = {tasks.namespace[each.task].body.__module__ for passage in found for each in to_run(passage)}
    return "infra.around" in tasks_of


def of_alert(alert: str) -> list[Passage]:
    return [each for each in passages(RUNBOOK) if each.heading == alert]


def case(value: object, found: Sequence[Passage]) -> ParameterSet:
    """A case of a test; those that want Terraform share the worker that has its providers."""
    return pytest.param(value, marks=[pytest.mark.xdist_group("terraform")] * needs_terraform(found))


def desk_for(request: pytest.FixtureRequest, found: Sequence[Passage]) -> Desk:
    """The desk at which these can be followed."""
    if needs_terraform(found) and by_terraform.BINARY is None:
        pytest.skip("no terraform or tofu binary")
    desk: Desk = request.getfixturevalue("around" if needs_terraform(found) else "running")
    return desk


def situation(passage: Passage) -> Situation:
    found = [each for piece, each in SITUATIONS.items() if piece in whole(passage)]
    return found[0] if found else nothing_broken


def whole(passage: Passage) -> str:
    """Its text with a beginning and an end."""
    return f"<{passage.text}>"


ALONE = [each for page in (FLY, *AROUND) for each in passages(page) if to_run(each)]
FIRST = [each for each in passages(RUNBOOK) if to_run(each) and each.heading not in TROUBLES]


@pytest.mark.parametrize("passage", [case(each, [each]) for each in (*ALONE, *FIRST)], ids=str)
def test_what_a_document_says_can_be_done(request: pytest.FixtureRequest, passage: Passage) -> None:
    desk = desk_for(request, [passage])
    story = situation(passage)(desk)
    next(story)
    follow(desk, passage)
    next(story, None)


def test_a_page_can_be_followed_from_nothing_to_the_end(running: Desk) -> None:
    next(nothing_yet(running))
    for passage in passages(FLY):
        if passage.is_code:
            follow(running, passage)
    assert APP not in running.state["apps"]


@pytest.mark.parametrize("alert", [case(each, of_alert(each)) for each in sorted(TROUBLES)])
def test_what_the_runbook_says_ends_the_alert(request: pytest.FixtureRequest, alert: str) -> None:
    found = of_alert(alert)
    desk = desk_for(request, found)
    story = TROUBLES[alert](desk)
    next(story)
    for passage in found:
        follow(desk, passage)
    next(story, None)


def test_every_alert_has_its_trouble() -> None:
    assert {each.name for each in alerts.alerts({})} == TROUBLES.keys()


def test_a_situation_is_still_in_the_document() -> None:
    texts = [whole(each) for each in ALONE]
    assert {piece: sum(piece in text for text in texts) for piece in SITUATIONS} == dict.fromkeys(SITUATIONS, 1)


def test_what_is_run_elsewhere_is_still_in_the_document() -> None:
    for page, task in ELSEWHERE:
        assert task in {command.task for each in passages(page) for command in each.commands}, (page, task)


def test_both_languages_tell_the_same_commands_with_the_same_ends() -> None:
    first, second = ([each.commands for each in passages(page) if each.commands] for page in (FLY, TWIN))
    assert first == second


@pytest.mark.parametrize("page", [FLY, TWIN, RUNBOOK, *AROUND])
def test_no_command_stands_where_it_is_not_found(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    found = passages(page)
    assert [each for passage in found for each in told.hidden(passage)] == []
    assert sum(len(each.commands) for each in found) == len(re.findall(r"\./dev|\binvoke [a-z]", text))


@pytest.mark.parametrize("page", [FLY, TWIN, RUNBOOK, *AROUND])
def test_calls_of_flyctl_are_such_as_flyctl_takes(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for words in re.findall(r"(?:`|^)flyctl ([^`\n]+)", text, re.MULTILINE):
        name, _, flags = words.partition(" --")
        if words in OF_NO_SURFACE:
            continue
        known = [each for each in surface()["commands"] if name == each or name.startswith(f"{each} ")]
        command = surface()["commands"][max(known, key=len, default="")]
        assert command["runnable"], words
        given = {flag.partition(" ")[0].partition("=")[0] for flag in flags.split(" --") if flag}
        assert {f"--{flag}" for flag in given} <= command["flags"].keys(), words
