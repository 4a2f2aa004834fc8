"""What is remembered of Fly's secrets stays true: after answers that were lost, deployments, and others' changes."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from infra import ledger
from infra.record import Drawer, Issued, Record
from tests.infra.fake_flyctl import Fly
from tests.infra.flying import APP, CAROL, KEYS, NEXT_TOKEN, TOKEN, Desk, Killed

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


def test_a_token_that_a_staged_rotation_ends_is_not_brought_back_by_the_next_one(running: Desk) -> None:
    """It leaked: what came between the two is no reason to give it another day."""
    running.fault("secrets deploy", "unreachable")
    assert rotate(running, NEXT_TOKEN, "--grace", "0").code == 1
    assert rotate(running, THIRD_TOKEN).code == 0
    assert tokens(running) == [f"team:{THIRD_TOKEN}", f"team:{digest(NEXT_TOKEN)}"]


def test_a_token_in_its_grace_time_outlives_a_rotation_that_was_cut_short(running: Desk) -> None:
    running.fault("secrets deploy", "unreachable")
    assert rotate(running, NEXT_TOKEN).code == 1
    assert rotate(running, THIRD_TOKEN).code == 0
    assert tokens(running) == [f"team:{each}" for each in (THIRD_TOKEN, digest(NEXT_TOKEN), digest(TOKEN))]


def test_tokens_that_have_all_ended_are_no_unknown_ones(running: Desk) -> None:
    ended = f"{digest(NEXT_TOKEN)}@2026-01-01T00:00Z"
    assert rotate(running, ended, "--grace", "0").code == 0
    assert rotate(running, THIRD_TOKEN).code == 0
    assert tokens(running) == [f"team:{THIRD_TOKEN}"]


def test_digests_that_fly_shows_late_are_waited_for(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real, old = Fly.secrets_list, running.run("secrets.list", "--json").json
    late = iter([0])

    def listed(fly: Fly) -> Any:
        imported = any(call[:2] == ["secrets", "import"] for call in fly.state["calls"])
        return old if imported and next(late, None) is not None else real(fly)

    def until(ask: Any, good: Any, seconds: float) -> Any:
        return next(answer for _ in range(20) if good(answer := ask()))

    monkeypatch.setattr(Fly, "secrets_list", listed)
    monkeypatch.setattr("infra.waiting.until", until)
    assert rotate(running, NEXT_TOKEN, "--grace", "0").code == 0
    # Nobody else was here: the record is still good for a grace time.
    assert rotate(running, THIRD_TOKEN).code == 0
    assert tokens(running) == [f"team:{THIRD_TOKEN}", f"team:{digest(NEXT_TOKEN)}"]


def test_the_same_values_again_are_not_waited_for(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def until(ask: Any, good: Any, seconds: float) -> Any:
        answer = ask()
        assert good(answer)
        return answer

    monkeypatch.setattr("infra.waiting.until", until)
    files = ("--keys-file", running.write("keys", KEYS), "--tokens-file", running.write("tokens", f"team:{TOKEN}"))
    assert running.run("secrets", "--yes", *files).code == 0


@pytest.fixture
def with_github(desk: Desk) -> Desk:
    """An app whose values are at GitHub too."""
    desk.gh = {"login": True, "environments": {}}
    assert desk.run("setup", "--yes", "--image", GOOD, POE_API_KEYS=KEYS, ACCESS_TOKENS=f"team:{TOKEN}").code == 0
    return desk


def at_github(desk: Desk) -> Any:
    return desk.gh["environments"]["production"]["POE_API_KEYS"]


def test_github_has_what_fly_has_whatever_becomes_of_the_machines(with_github: Desk) -> None:
    with_github.fault("secrets deploy", "unreachable")
    keys = with_github.write("keys", f"carol:{CAROL}")
    assert with_github.run("secrets", "--yes", "--keys-file", keys).code == 1
    assert with_github.app["secrets"]["POE_API_KEYS"]["value"] == at_github(with_github) == f"carol:{CAROL}"


def test_githubs_copy_that_fell_behind_is_told_until_it_is_mended(with_github: Desk) -> None:
    hub, with_github.gh = with_github.gh, {}
    carol = f"carol:{CAROL}"
    assert with_github.run("secrets", "--yes", "--keys-file", with_github.write("keys", carol)).code == 0
    said = "GitHub still has the earlier POE_API_KEYS (gh is not installed; once"
    assert said in with_github.run("setup", "--yes").err
    with_github.gh = hub
    assert "GitHub still has the earlier POE_API_KEYS: `./dev secrets`" in with_github.run("setup", "--yes").err
    # What the shell holds is not what Fly has.
    assert "is left alone" in with_github.run("setup", "--yes", POE_API_KEYS=KEYS).err
    assert at_github(with_github) == KEYS
    ended = with_github.run("setup", "--yes", POE_API_KEYS=carol)
    assert (ended.code, at_github(with_github)) == (0, carol)
    assert "GitHub still has" not in ended.err
    with_github.forget()
    assert with_github.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    assert with_github.writes() == []


@pytest.mark.parametrize("place", range(1, 12))
def test_a_rotation_that_was_killed_leaves_githubs_copy_right_or_said_to_be_behind(
    with_github: Desk, place: int
) -> None:
    with_github.forget()
    with_github.kill_at = place
    carol = f"carol:{CAROL}"
    with pytest.raises(Killed):
        with_github.run("secrets", "--yes", "--keys-file", with_github.write("keys", carol))
    with_github.kill_at = 0
    ended = with_github.run("setup", "--yes")
    assert ended.code == 0, ended.err
    on_fly = with_github.app["machines"][0]["secrets"]["POE_API_KEYS"]
    assert on_fly == with_github.app["secrets"]["POE_API_KEYS"]["value"]
    assert at_github(with_github) == on_fly or "GitHub still has the earlier POE_API_KEYS" in ended.err


DAMAGED = {
    "no text": b"\xff\xfe",
    "nothing": b"{",
    "a list": b"[]",
    "a number": b"5",
    "an empty one": b"{}",
    "a part of another kind": {"seen": 5},
    "a name of another kind": {"removing": ["x"]},
    "digests of another kind": {"seen": {"POE_API_KEYS": 1}},
    "names of another kind": {"made": 7},
    "a token without a digest": {"issued": [{"name": "team"}]},
    "a token of another kind": {"staged": [{"name": "team", "digest": 5, "ends": None}]},
    "a token that ends some day": {"issued": [{"name": "team", "digest": "sha256-0", "ends": "soon"}]},
    "more than is known": {"more": 1},
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_record_is_one_line_for_every_task(running: Desk, case: str) -> None:
    damage = DAMAGED[case]
    text = damage if isinstance(damage, bytes) else json.dumps({**kept(running), **damage}).encode()
    (running.folder / ".poe-proxy" / f"{APP}.json").write_bytes(text)
    for words in (
        ("setup", "--yes"),
        ("secrets", "--yes"),
        ("deploy", "--image", GOOD),
        ("rollback", "--to", "v1", "--yes"),
    ):
        ended = running.run(*words, ACCESS_TOKENS=f"team:{NEXT_TOKEN}")
        assert (ended.code, ended.line) == (2, f".poe-proxy/{APP}.json is damaged; move it away"), words
    assert running.writes() == []


def test_a_full_disk_leaves_no_half_of_a_secret(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        ended = desk.run("setup", "--yes", POE_API_KEYS=KEYS)
    assert (ended.code, ended.line) == (
        1,
        "No space left on device; done so far: app. The same command goes on from there.",
    )
    assert sorted(path.name for path in (desk.folder / ".poe-proxy").iterdir()) == [".gitignore", f"{APP}.lock"]
    assert "ACCESS_TOKENS" not in desk.app["secrets"]
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0


def test_what_a_task_that_was_killed_left_half_written_goes_with_the_rest(desk: Desk) -> None:
    drawer = Drawer(desk.folder, APP)
    drawer.keep_access_token(f"team:{TOKEN}")
    (desk.folder / ".poe-proxy" / f".{APP}.access-token-x1y2").write_text(TOKEN[:9])
    (desk.folder / ".poe-proxy" / f"{APP}-staging.json").write_text("{}")
    drawer.forget()
    assert sorted(path.name for path in (desk.folder / ".poe-proxy").iterdir()) == [".gitignore", f"{APP}-staging.json"]


def test_a_folder_that_cannot_be_made_is_one_line(desk: Desk) -> None:
    (desk.folder / ".poe-proxy").write_text("")
    for words in (("setup", "--yes"), ("secrets", "--yes"), ("deploy", "--image", GOOD)):
        ended = desk.run(*words, POE_API_KEYS=KEYS)
        assert (ended.code, f"{desk.folder}/.poe-proxy: File exists" in ended.line) == (1, True)
    assert desk.writes() == []
