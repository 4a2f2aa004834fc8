"""What is remembered of Fly's secrets stays true: after answers that were lost, deployments, and others' changes."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from infra import ledger
from infra.record import Issued, Record
from tests.infra.flying import APP, CAROL, KEYS, NEXT_TOKEN, TOKEN, Desk

GOOD, BAD = (f"registry.fly.io/{APP}:{label}" for label in ("good", "bad"))
THIRD_TOKEN = "tok-44aa55bb66cc77dd88"
OLD, NEW = Issued("team", "sha256-old"), Issued("team", "sha256-new")
SEEN = {"POE_API_KEYS": "k1", "ACCESS_TOKENS": "t1"}
ON_ITS_WAY = Record(issued=(OLD,), sending=(NEW,), keys="mine", sending_keys="others", seen=SEEN)


@pytest.fixture
def running(desk: Desk) -> Desk:
    """An app with one token of a team."""
    values = {"POE_API_KEYS": KEYS, "ACCESS_TOKENS": f"team:{TOKEN}"}
    assert desk.run("setup", "--yes", "--no-github", "--image", GOOD, **values).code == 0
    desk.forget()
    return desk


def kept(desk: Desk) -> Any:
    return json.loads((desk.folder / ".poe-proxy" / f"{APP}.json").read_text())


def digest(token: str) -> str:
    return f"sha256-{sha256(token.encode()).hexdigest()}"


def issued(desk: Desk) -> list[str]:
    return [each["digest"] for each in kept(desk)["issued"]]


def tokens(desk: Desk) -> list[str]:
    """What the machine takes, without the ends."""
    return [each.partition("@")[0] for each in desk.app["machines"][0]["secrets"]["ACCESS_TOKENS"].split(",")]


def rotate(desk: Desk, token: str, *flags: str) -> Any:
    return desk.run("secrets", "--yes", "--tokens-file", desk.write("tokens", f"team:{token}"), *flags)


def by_another_clone(desk: Desk, token: str) -> None:
    def change(state: dict[str, Any]) -> None:
        app = state["apps"][APP]
        app["secrets"]["ACCESS_TOKENS"] = {"value": f"team:{token}"}
        app["machines"][0]["secrets"]["ACCESS_TOKENS"] = f"team:{token}"

    desk.change(change)


def test_what_did_not_arrive_leaves_the_record_as_it_was() -> None:
    assert ledger.settled(ON_ITS_WAY, SEEN) == Record(issued=(OLD,), keys="mine", seen=SEEN)


def test_what_arrived_is_staged() -> None:
    now = {"POE_API_KEYS": "k2", "ACCESS_TOKENS": "t2"}
    assert ledger.settled(ON_ITS_WAY, now) == Record(issued=(OLD,), staged=(NEW,), keys="others", seen=now)
    only_keys = ledger.settled(ON_ITS_WAY, {**SEEN, "POE_API_KEYS": "k2"})
    assert (only_keys.issued, only_keys.staged, only_keys.keys) == ((OLD,), (), "others")


def test_what_somebody_else_changed_is_no_longer_known() -> None:
    calm = Record(issued=(OLD,), staged=(NEW,), keys="mine", seen=SEEN)
    now = {"POE_API_KEYS": "k2", "ACCESS_TOKENS": "t2"}
    assert ledger.settled(calm, now) == Record(elsewhere=True, seen=now)
    assert ledger.settled(calm, SEEN) == calm
    # Nothing was ever sent from here: nothing is known, and nothing can have changed.
    assert ledger.settled(Record(), now) == Record(seen=now)
    gone = ledger.settled(calm, {})
    assert gone == replace(Record(elsewhere=True), seen={"POE_API_KEYS": "", "ACCESS_TOKENS": ""})


def test_a_deployment_takes_what_waits_into_use(running: Desk) -> None:
    running.fault("secrets deploy", "unreachable")
    assert rotate(running, NEXT_TOKEN, "--grace", "0").code == 1
    assert issued(running) == [digest(TOKEN)]
    assert running.run("deploy", "--image", GOOD).code == 0
    assert (issued(running), kept(running)["staged"]) == ([digest(NEXT_TOKEN)], [])
    assert rotate(running, THIRD_TOKEN).code == 0
    assert tokens(running) == [f"team:{THIRD_TOKEN}", f"team:{digest(NEXT_TOKEN)}"]


def test_a_deployment_that_went_back_took_it_into_use_as_well(running: Desk) -> None:
    running.fault("secrets deploy", "unreachable")
    assert rotate(running, NEXT_TOKEN, "--grace", "0").code == 1
    running.change(lambda state: state["sick_images"].append(BAD))
    assert running.run("deploy", "--image", BAD).code == 1
    assert running.app["machines"][0]["image"] == GOOD
    assert tokens(running) == [f"team:{NEXT_TOKEN}"]
    assert issued(running) == [digest(NEXT_TOKEN)]


@pytest.mark.parametrize(("how", "now"), [("unreachable", TOKEN), ("lost", NEXT_TOKEN)])
def test_whether_it_arrived_is_asked_before_the_next_deployment(running: Desk, how: str, now: str) -> None:
    running.fault("secrets import", how)
    assert rotate(running, NEXT_TOKEN, "--grace", "0").code == 1
    ended = running.run("deploy", "--image", GOOD, ACCESS_TOKENS=f"team:{NEXT_TOKEN}")
    assert ended.code == 0, ended.err
    assert tokens(running) == [f"team:{now}"]
    assert issued(running) == [digest(now)]


def test_a_token_that_somebody_else_took_out_does_not_come_back(running: Desk) -> None:
    by_another_clone(running, NEXT_TOKEN)
    ended = rotate(running, THIRD_TOKEN)
    assert ended.code == 3
    assert "the tokens in use are not known here" in ended.line
    assert running.writes() == []
    assert running.run("setup", "--yes", "--tokens-file", running.write("tokens", f"team:{THIRD_TOKEN}")).code == 3
    old = running.write("old", f"team:{NEXT_TOKEN}")
    assert rotate(running, THIRD_TOKEN, "--old-tokens-file", old).code == 0
    assert tokens(running) == [f"team:{THIRD_TOKEN}", f"team:{digest(NEXT_TOKEN)}"]


def test_keys_that_somebody_else_sent_are_not_given_to_github(desk: Desk) -> None:
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    assert kept(desk)["keys"]
    desk.change(lambda state: state["apps"][APP]["secrets"].update(POE_API_KEYS={"value": f"carol:{CAROL}"}))
    desk.gh = {"login": True, "environments": {}}
    ended = desk.run("setup", "--yes", POE_API_KEYS=KEYS)
    assert ended.code == 0, ended.err
    assert "POE_API_KEYS at GitHub is left alone" in ended.err
    assert "POE_API_KEYS" not in desk.gh["environments"]["production"]


def test_the_token_that_setup_made_is_not_shown_once_somebody_else_replaced_it(desk: Desk) -> None:
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    by_another_clone(desk, NEXT_TOKEN)
    ended = desk.run("setup", "--yes")
    assert ended.code == 0, ended.err
    assert "Bearer YOUR-ACCESS-TOKEN" in ended.out
    # Nobody else can give it back, should that have been an error.
    assert (desk.folder / ".poe-proxy" / f"{APP}.access-token").exists()


def test_a_dry_run_writes_nothing_down(running: Desk) -> None:
    before = kept(running)
    by_another_clone(running, NEXT_TOKEN)
    assert rotate(running, THIRD_TOKEN, "--grace", "0", "--dry-run").code == 0
    assert kept(running) == before
