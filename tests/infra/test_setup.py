"""`setup`: from nothing to a tested gateway, twice the same as once, and from wherever it was killed to its end."""

from __future__ import annotations

import copy
import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra.github import environment_of
from tests.infra.fake_flyctl import TAKEN
from tests.infra.flying import AFTER_TERRAFORM, ALICE, APP, BOB, CAROL, KEYS, NEXT_TOKEN, TOKEN, Desk

FRESH = ("setup", "--yes")
MOST_CALLS = 25


def fresh(desk: Desk, *flags: str, **environ: str) -> Any:
    return desk.run(*FRESH, *flags, **{"POE_API_KEYS": KEYS, **environ})


def whole(desk: Desk) -> None:
    """What has to be there after a setup that ended well, each thing once."""
    app = desk.app
    assert len(app["machines"]) == 1
    assert app["machines"][0]["region"] == "nrt"
    assert app["machines"][0]["secrets"]["POE_API_KEYS"] == KEYS
    (kept,) = (desk.folder / ".poe-proxy").glob("*.access-token")
    assert app["machines"][0]["secrets"]["ACCESS_TOKENS"] == kept.read_text().strip()
    assert sorted(each["Type"] for each in app["ips"]) == ["shared_v4", "v6"]
    alive = [each for each in app["tokens"] if not each["revoked"]]
    assert len(alive) == 1
    assert app["releases"][-1]["status"] == "complete"
    record = json.loads((desk.folder / ".poe-proxy" / f"{APP}.json").read_text())
    assert [each["name"] for each in record["issued"]] == ["owner"]
    assert record["staged"] == []
    if desk.gh:
        stored = desk.gh["environments"]["production"]
        assert stored == {
            "POE_API_KEYS": KEYS,
            "ACCESS_TOKENS": kept.read_text().strip(),
            "FLY_API_TOKEN": alive[0]["value"],
        }
        assert not (desk.folder / ".poe-proxy" / f"{APP}.deploy-token").exists()
    else:
        assert (desk.folder / ".poe-proxy" / f"{APP}.deploy-token").read_text().strip() == alive[0]["value"]


@pytest.fixture(params=[False, True], ids=["without gh", "with gh"])
def either(desk: Desk, request: pytest.FixtureRequest) -> Desk:
    if request.param:
        desk.gh = {"login": True, "environments": {}}
    return desk


def test_from_nothing_to_a_tested_gateway(either: Desk) -> None:
    ended = fresh(either)
    assert ended.code == 0, ended.err
    whole(either)
    token = (either.folder / ".poe-proxy" / f"{APP}.access-token").read_text().strip().partition(":")[2]
    assert f"Base URL  {either.url}/v1" in ended.out
    assert f"Authorization: Bearer {token}" in ended.out
    assert len(either.calls()) <= MOST_CALLS


def test_everything_at_once_takes_few_calls(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {}}
    ended = fresh(desk, "--host", "API.example.com.", "--machines", "3", "--region", "sin", "--org", "personal")
    assert ended.code == 0, ended.err
    assert len(desk.calls()) <= MOST_CALLS
    assert [each["region"] for each in desk.app["machines"]] == ["sin"] * 3
    assert list(desk.app["certs"]) == ["api.example.com"]
    assert "_fly-ownership.api.example.com" in ended.out
    assert tomllib.loads((desk.folder / "fly.toml").read_text())["primary_region"] == "sin"
    assert "# A quiet stream is no idle machine." in (desk.folder / "fly.toml").read_text()


def test_a_ci_job_is_told_where_the_token_is_and_not_what_it_is(desk: Desk) -> None:
    ended = fresh(desk, CI="true")
    assert ended.code == 0
    token = (desk.folder / ".poe-proxy" / f"{APP}.access-token").read_text().strip().partition(":")[2]
    assert token not in ended.out
    assert f"Kept in   .poe-proxy/{APP}.access-token" in ended.out


def test_twice_is_as_good_as_once(either: Desk) -> None:
    assert fresh(either).code == 0
    before = either.app
    either.forget()
    assert fresh(either).code == 0
    assert either.writes() == []
    assert either.app == before


def test_it_asks_for_one_confirmation(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(_: Any, question: str, **__: Any) -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("infra.console.Console.ask", answer)
    assert desk.run("setup", POE_API_KEYS=KEYS).code == 0
    assert asked == ["Go on? [y/N]"]
    assert desk.run("setup").code == 0
    assert len(asked) == 1


def test_a_no_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.console.Console.ask", lambda *_, **__: "n")
    text = (desk.folder / "fly.toml").read_text()
    ended = desk.run("setup", "--region", "sin", POE_API_KEYS=KEYS)
    assert (ended.code, ended.line) == (2, "nothing was changed")
    assert desk.writes() == []
    assert (desk.folder / "fly.toml").read_text() == text
    assert list((desk.folder / ".poe-proxy").glob("*token")) == []


def test_a_name_that_is_taken_changes_nothing(desk: Desk) -> None:
    text = (desk.folder / "fly.toml").read_text()
    assert fresh(desk, "--app", TAKEN[0], "--region", "sin").code == 2
    assert (desk.folder / "fly.toml").read_text() == text
    assert list((desk.folder / ".poe-proxy").glob("*token")) == []


@pytest.mark.parametrize("how", ["500", "429", "unreachable", "lost"])
def test_whatever_call_fails_the_next_run_ends_well(desk: Desk, how: str) -> None:
    assert fresh(desk).code == 0
    commands = list(
        dict.fromkeys(
            " ".join(word for word in line.split() if word.isidentifier() or "-v" in word) for line in desk.calls()
        )
    )
    commands = [" ".join(each.split()[:3]).replace(f" {APP}", "") for each in commands]
    start = {"apps": {}, "number": 0, "faults": []}
    for command in commands:
        desk.change(lambda state: state.update(start))
        for path in (desk.folder / ".poe-proxy").glob("*"):
            path.unlink()
        desk.fault(command, how)
        ended = fresh(desk)
        assert ended.code in (0, 1, 3), f"{command}: {ended.err}"
        if ended.code:
            assert ended.line, command
            assert len(ended.line) < 700
        assert desk.state["faults"][0]["nth"] == 0, f"{command} was never called"
        ended = fresh(desk)
        assert ended.code == 0, f"{command}: {ended.err}"
        whole(desk)


def test_the_token_is_kept_before_fly_knows_it(desk: Desk) -> None:
    desk.fault("secrets import", "unreachable")
    assert fresh(desk).code == 1
    kept = desk.folder / ".poe-proxy" / f"{APP}.access-token"
    made = kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert (kept.parent / ".gitignore").read_text() == "*\n"
    assert fresh(desk).code == 0
    assert desk.app["machines"][0]["secrets"]["ACCESS_TOKENS"] == made.strip()


def test_a_deploy_token_whose_value_was_lost_is_made_anew(desk: Desk) -> None:
    assert fresh(desk).code == 0
    (desk.folder / ".poe-proxy" / f"{APP}.deploy-token").unlink()
    assert fresh(desk).code == 0
    lost, made = desk.app["tokens"]
    assert lost["revoked"]
    assert not made["revoked"]
    assert (desk.folder / ".poe-proxy" / f"{APP}.deploy-token").read_text().strip() == made["value"]


def test_a_deploy_token_that_was_made_elsewhere_is_left_alone(desk: Desk) -> None:
    """CI runs with it, and nobody here knows its value."""
    assert fresh(desk).code == 0
    for path in (desk.folder / ".poe-proxy").glob("*"):
        path.unlink()
    ended = fresh(desk)
    assert ended.code == 0
    assert "a deploy token is there already, made elsewhere; it is left alone" in ended.err
    assert f"`flyctl tokens revoke {desk.app['tokens'][0]['id']}` ends it" in ended.err
    assert [each["revoked"] for each in desk.app["tokens"]] == [""]


def test_placeholders_at_github_are_no_secrets(desk: Desk) -> None:
    """Terraform makes the secrets there as `unset`; real values take their place."""
    desk.gh = copy.deepcopy(dict(AFTER_TERRAFORM))
    assert fresh(desk).code == 0
    whole(desk)


def test_a_deploy_token_that_was_lost_before_github_had_one_is_made_anew(desk: Desk) -> None:
    desk.gh = copy.deepcopy(dict(AFTER_TERRAFORM))
    desk.fault("tokens create deploy", "lost")
    assert fresh(desk).code == 1
    assert fresh(desk).code == 0
    whole(desk)


def test_a_deploy_token_whose_file_was_lost_before_github_had_it_is_made_anew(desk: Desk) -> None:
    assert fresh(desk).code == 0
    (desk.folder / ".poe-proxy" / f"{APP}.deploy-token").unlink()
    desk.gh = copy.deepcopy(dict(AFTER_TERRAFORM))
    assert fresh(desk).code == 0
    whole(desk)


def test_a_deploy_token_that_ends_soon_is_made_anew(desk: Desk) -> None:
    desk.change(lambda state: state.update(token_ends="2026-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    desk.change(lambda state: state.update(token_ends="2099-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    assert [bool(each["revoked"]) for each in desk.app["tokens"]] == [True, False]


@pytest.mark.parametrize("trouble", ["login ended", "gh is gone", "no answer"])
def test_the_token_that_ci_deploys_with_outlives_a_run_that_cannot_ask_github(desk: Desk, trouble: str) -> None:
    desk.gh = {"login": True, "environments": {}}
    assert fresh(desk).code == 0
    hub = desk.gh
    desk.gh = {} if trouble == "gh is gone" else {**hub, "login": trouble != "login ended", "trouble": True}
    ended = fresh(desk)
    assert ended.code == 0, ended.err
    assert "the deploy token is GitHub's, which cannot be asked now; it is left alone" in ended.err
    desk.gh = hub
    whole(desk)
    desk.forget()
    assert fresh(desk).code == 0
    assert desk.writes() == []


def test_the_earlier_token_ends_only_after_github_has_the_new_one(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {}}
    desk.change(lambda state: state.update(token_ends="2026-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    desk.change(lambda state: state.update(token_ends="2099-01-01 00:00:00 +0000 UTC"))
    # Its names are told, but nothing can be stored.
    desk.gh["refuses"] = True
    ended = fresh(desk)
    assert (ended.code, "GitHub refused" in ended.line) == (1, True)
    assert [each["revoked"] for each in desk.app["tokens"]] == ["", ""]
    del desk.gh["refuses"]
    assert fresh(desk).code == 0
    assert [bool(each["revoked"]) for each in desk.app["tokens"]] == [True, False]
    assert desk.gh["environments"]["production"]["FLY_API_TOKEN"] == desk.app["tokens"][1]["value"]


def test_a_renewal_is_asked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.change(lambda state: state.update(token_ends="2026-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    monkeypatch.setattr("infra.console.Console.ask", lambda *_, **__: "n")
    desk.forget()
    ended = desk.run("setup")
    assert (ended.code, ended.line) == (2, "nothing was changed")
    assert "revoke 1 earlier deploy token" in ended.err
    assert desk.writes() == []


def test_an_environment_that_cannot_be_asked_for_is_not_made_anew(desk: Desk) -> None:
    """Making it a second time would take its reviewers away."""
    desk.gh = {"login": True, "environments": {"production": {}}, "hides": True}
    assert fresh(desk).code == 1
    assert not [line for line in desk.writes() if "--method=PUT" in line]


def test_a_deploy_token_of_somebody_else_is_left_alone(desk: Desk) -> None:
    assert fresh(desk, "--no-github").code == 0
    assert desk.app["tokens"] == []

    def theirs(state: dict[str, Any]) -> None:
        state["apps"][APP]["tokens"].append(
            {"id": "tok_1", "name": "theirs", "ends": "2099-01-01", "revoked": "", "value": "x-theirs"}
        )

    desk.change(theirs)
    assert fresh(desk).code == 0
    assert [each["revoked"] for each in desk.app["tokens"]] == ["", ""]


THEIRS = {"id": "tok_theirs", "name": "poe-proxy setup 0a0b0c", "revoked": "", "ends": "", "value": "FlyV1 fm2_theirs"}
"""A deploy token that another clone made."""


def test_a_dead_value_in_its_file_takes_no_other_clones_place_at_github(desk: Desk) -> None:
    """Ours was revoked by hand, and another clone gave GitHub its own since."""
    assert fresh(desk).code == 0
    desk.gh = {"login": True, "environments": {"production": {"FLY_API_TOKEN": "of the other clone"}}}
    desk.change(lambda state: state["apps"][APP]["tokens"][0].update(revoked="2026-11-22 00:00:00 +0000 UTC"))
    desk.change(lambda state: state["apps"][APP]["tokens"].append(dict(THEIRS)))
    ended = fresh(desk)
    assert ended.code == 0, ended.err
    assert "made elsewhere; it is left alone" in ended.err
    assert desk.gh["environments"]["production"]["FLY_API_TOKEN"] == "of the other clone"
    assert [each["revoked"] for each in desk.app["tokens"]][1:] == [""]


def test_an_earlier_value_does_not_pass_for_one_that_was_lost(desk: Desk) -> None:
    """The first waits in its file and ends soon; the answer with the second is lost; GitHub gets the third."""
    desk.change(lambda state: state.update(token_ends="2020-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    desk.change(lambda state: state.update(token_ends="2099-01-01 00:00:00 +0000 UTC"))
    desk.gh = {"login": True, "environments": {}}
    desk.fault("tokens create deploy", "lost")
    assert fresh(desk).code == 1
    assert fresh(desk).code == 0
    whole(desk)
    assert [bool(each["revoked"]) for each in desk.app["tokens"]] == [True, True, False]


def test_another_clones_token_outlives_a_renewal(desk: Desk) -> None:
    desk.change(lambda state: state.update(token_ends="2020-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    desk.change(lambda state: state["apps"][APP]["tokens"].append(dict(THEIRS)))
    desk.change(lambda state: state.update(token_ends="2099-01-01 00:00:00 +0000 UTC"))
    assert fresh(desk).code == 0
    assert [bool(each["revoked"]) for each in desk.app["tokens"]] == [True, False, False]


def test_a_token_that_waited_in_its_file_goes_to_github_later(desk: Desk) -> None:
    assert fresh(desk).code == 0
    desk.gh = {"login": True, "environments": {"production": {}}}
    assert fresh(desk).code == 0
    whole(desk)
    assert len(desk.app["tokens"]) == 1


def test_an_environment_that_is_there_keeps_its_protection(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {"production": {}}}
    assert fresh(desk).code == 0
    assert not [line for line in desk.writes() if "--method=PUT" in line]


def test_an_app_that_fly_toml_does_not_name_is_named_at_github(desk: Desk) -> None:
    """Or the workflows would deploy fly.toml's."""
    file = desk.folder / "fly.toml"
    file.write_text(file.read_text().replace(APP, "another-app"))
    desk.gh = {"login": True, "environments": {}}
    ended = fresh(desk, "--app", APP)
    assert ended.code == 0, ended.err
    assert f"set FLY_APP = {APP} at GitHub (production)" in ended.err
    assert desk.gh["variables"] == {"production": {"FLY_APP": APP}}
    desk.forget()
    assert fresh(desk, FLY_APP=APP).code == 0
    assert desk.writes() == []


def test_an_app_of_fly_toml_needs_no_variable_but_takes_the_place_of_another(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {"production": {}}}
    assert fresh(desk).code == 0
    assert desk.gh["variables"] == {"production": {}}
    desk.gh["variables"]["production"]["FLY_APP"] = "another-app"
    assert fresh(desk).code == 0
    assert desk.gh["variables"] == {"production": {"FLY_APP": APP}}


@pytest.mark.parametrize("reviewers", [True, False])
def test_who_is_asked_before_production_is_said(desk: Desk, reviewers: bool) -> None:
    desk.gh = {"login": True, "environments": {"production": {}}, "reviewers": reviewers}
    ended = fresh(desk)
    assert ended.code == 0
    assert ("nobody is asked before production is deployed" in ended.err) != reviewers


def test_without_a_login_at_github_it_says_so(desk: Desk) -> None:
    desk.gh = {"login": False, "environments": {}}
    ended = fresh(desk)
    assert ended.code == 0
    step = "; once gh is installed, logged in (`gh auth login`) and knows this repository, run `./dev setup` again): "
    assert f"GitHub deploys nothing yet (gh auth: You are not logged into any GitHub hosts.{step}" in ended.err


def test_secrets_that_are_there_are_sent_again_only_from_files(desk: Desk) -> None:
    assert fresh(desk, ACCESS_TOKENS=f"team:{TOKEN}").code == 0
    desk.forget()
    other = f"alice:{ALICE}"
    assert desk.run(*FRESH, POE_API_KEYS=other, ACCESS_TOKENS=f"team:{NEXT_TOKEN}").code == 0
    assert desk.calls("secrets import") == []
    assert desk.run(*FRESH, "--keys-file", desk.write("keys", f"alice:{ALICE}\n")).code == 0
    assert desk.app["machines"][0]["secrets"] == {"POE_API_KEYS": other, "ACCESS_TOKENS": f"team:{TOKEN}"}
    # No image was built for it.
    assert desk.calls("deploy") == []


def test_what_another_clone_stored_at_github_is_not_replaced_by_what_a_shell_holds(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {}}
    assert fresh(desk).code == 0
    stored = copy.deepcopy(desk.gh["environments"])
    for path in (desk.folder / ".poe-proxy").glob("*"):
        path.unlink()
    mine = f"mine:{CAROL}"
    ended = desk.run(*FRESH, POE_API_KEYS=mine, ACCESS_TOKENS=f"team:{TOKEN}")
    assert ended.code == 0
    assert "refuses the access token at hand" in ended.err
    assert "POE_API_KEYS at GitHub is left alone" in ended.err
    assert "ACCESS_TOKENS at GitHub is left alone" in ended.err
    assert desk.run(*FRESH, POE_API_KEYS=mine).code == 0
    assert desk.gh["environments"] == stored
    # A file is meant, for both.
    assert desk.run(*FRESH, "--keys-file", desk.write("keys", mine)).code == 0
    assert desk.gh["environments"]["production"]["POE_API_KEYS"] == mine
    assert desk.app["machines"][0]["secrets"]["POE_API_KEYS"] == mine


def test_tokens_that_a_file_replaces_go_on_for_a_day(desk: Desk) -> None:
    assert fresh(desk, ACCESS_TOKENS=f"team:{TOKEN}").code == 0
    assert desk.run(*FRESH, "--tokens-file", desk.write("tokens", f"team:{NEXT_TOKEN}")).code == 0
    first, second = desk.app["machines"][0]["secrets"]["ACCESS_TOKENS"].split(",")
    assert first == f"team:{NEXT_TOKEN}"
    assert second.startswith("team:sha256-")
    assert "@" in second


@pytest.mark.parametrize("grace", ["0", "24h"])
def test_a_token_that_was_rotated_out_does_not_come_back(desk: Desk, grace: str) -> None:
    assert fresh(desk).code == 0
    kept = desk.folder / ".poe-proxy" / f"{APP}.access-token"
    old = kept.read_text().strip().partition(":")[2]
    tokens = desk.write("tokens", f"team:{NEXT_TOKEN}")
    assert desk.run("secrets", "--tokens-file", tokens, "--grace", grace, "--yes").code == 0
    # Until its end the tests of a deployment may use it.
    assert kept.exists() == (grace != "0")
    desk.gh = {"login": True, "environments": {}}
    ended = fresh(desk)
    assert ended.code == 0, ended.err
    assert old not in ended.out
    assert "Bearer YOUR-ACCESS-TOKEN" in ended.out
    assert "ACCESS_TOKENS" not in desk.gh["environments"]["production"]


def test_a_token_that_waits_at_fly_beside_a_dead_one_is_the_only_one(desk: Desk) -> None:
    """Killed between the two steps of a rotation: the file still has the token of before."""
    assert fresh(desk).code == 0
    desk.fault("secrets deploy", "unreachable")
    tokens = desk.write("tokens", f"team:{NEXT_TOKEN}")
    assert desk.run("secrets", "--tokens-file", tokens, "--grace", "0", "--yes").code == 1
    desk.gh = {"login": True, "environments": {}}
    assert fresh(desk).code == 0
    assert not (desk.folder / ".poe-proxy" / f"{APP}.access-token").exists()
    assert "ACCESS_TOKENS" not in desk.gh["environments"]["production"]


def test_an_image_of_another_kind_is_deployed(desk: Desk) -> None:
    assert fresh(desk).code == 0
    desk.forget()
    assert fresh(desk, "--image", "registry.fly.io/gateway:v2").code == 0
    assert desk.app["machines"][0]["image"] == "registry.fly.io/gateway:v2"
    desk.forget()
    assert fresh(desk, "--image", "registry.fly.io/gateway:v2").code == 0
    assert desk.writes() == []


@pytest.mark.parametrize(("behind", "deployed"), [("-next", True), (f"@sha256:{'0' * 64}", False)])
def test_machines_with_different_images_are_brought_together(desk: Desk, behind: str, deployed: bool) -> None:
    """As somebody's `flyctl machine update` leaves them. A digest behind the name of one is no other image."""
    assert fresh(desk, "--machines", "2").code == 0
    desk.forget()

    def other(state: dict[str, Any]) -> None:
        state["apps"][APP]["machines"][1]["image"] += behind

    desk.change(other)
    assert desk.run("setup", "--yes").code == 0
    assert any(line.startswith("deploy ") for line in desk.writes()) is deployed
    assert len({machine["image"].partition("@")[0] for machine in desk.app["machines"]}) == 1


def test_machines_of_different_versions_are_told(desk: Desk) -> None:
    """One name of an image may mean two: Fly pulls it anew for each machine."""
    assert fresh(desk, "--machines", "2").code == 0
    first, second = (machine["id"] for machine in desk.app["machines"])
    desk.change(lambda state: state.update(ready={first: {"version": "8.0"}, second: {"version": "9.0"}}))
    ended = desk.run("setup", "--yes")
    assert (ended.code, "machines run different versions: 8.0, 9.0;" in ended.line) == (1, True)


@pytest.mark.parametrize(
    ("app", "environment"),
    [("gateway-staging", "staging"), ("gateway", "production"), ("xstaging", "production"), ("staging", "production")],
)
def test_an_app_belongs_to_the_environment_that_its_name_ends_in(app: str, environment: str) -> None:
    assert environment_of(app) == environment


def test_a_region_for_machines_that_run_elsewhere_is_not_passed_over_in_silence(desk: Desk) -> None:
    assert fresh(desk).code == 0
    ended = fresh(desk, "--region", "sin")
    assert ended.code == 0
    assert "the machines are in nrt and stay there; `./dev scale.regions --regions sin` moves them" in ended.err
    assert "stay there" not in fresh(desk, "--region", "nrt").err


def test_fewer_machines_are_asked_about_with_what_it_means(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fresh(desk, "--machines", "3").code == 0
    monkeypatch.setattr("infra.console.Console.ask", lambda *_, **__: "n")
    assert "scale to 1 machine, which cuts the streams of 2" in desk.run("setup", "--machines", "1").err


def test_a_dry_run_prints_every_call_and_leaves_no_trace(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {}}
    before = sorted(desk.folder.rglob("*"))
    ended = fresh(desk, "--dry-run", "--machines", "2", "--host", "api.example.com", "--region", "sin")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    for command in ("apps create", "secrets import --stage", "ips allocate-v6", "deploy", "scale count 2", "certs add",
                    "tokens create deploy"):  # fmt: skip
        assert any(line.startswith(f"flyctl {command}") for line in lines), command
    assert any(line.startswith("gh secret set POE_API_KEYS") for line in lines)
    assert all(line.startswith(("flyctl ", "gh ")) for line in lines)
    assert desk.writes() == []
    assert sorted(desk.folder.rglob("*")) == before
    assert "primary_region" in ended.err


def test_a_dry_run_needs_no_keys(desk: Desk) -> None:
    ended = desk.run("setup", "--dry-run")
    assert ended.code == 0, ended.err
    assert any(line.startswith("flyctl secrets import") for line in ended.out.splitlines())
    assert desk.writes() == []
    assert desk.run("setup", "--yes").line.startswith("no Poe keys: give --keys-file F")


def test_a_dry_run_for_scripts_is_one_value(desk: Desk) -> None:
    ended = fresh(desk, "--dry-run", "--json")
    assert any(line.startswith("flyctl deploy") for line in ended.json["dry_run"])


def test_for_scripts_it_names_the_file_and_not_the_token(desk: Desk) -> None:
    ended = fresh(desk, "--json")
    assert ended.json["token_file"] == f".poe-proxy/{APP}.access-token"
    assert Path(ended.json["token_file"]).read_text().strip().partition(":")[2] not in ended.out


@pytest.mark.parametrize("more", [(), ("--machines", "2")], ids=["nothing to do", "one machine more"])
def test_every_run_ends_with_a_test_of_each_machine(desk: Desk, more: tuple[str, ...]) -> None:
    assert fresh(desk).code == 0
    (machine,) = desk.app["machines"]
    desk.change(lambda state: state.update(ready={machine["image"]: {"http": 503, "status": "draining"}}))
    ended = fresh(desk, *more)
    assert ended.code == 1
    assert f"{APP} runs, but: machine {machine['id']}: /ready: draining" in ended.line


WRONG = {
    "unknown region": (["--region", "xyz"], {}, 2, "'xyz' is no region"),
    "retired region": (["--region", "hkg"], {}, 2, "region hkg was retired by Fly; its replacement is sin"),
    "taken name": (["--app", TAKEN[0]], {}, 2, "somebody else's; nothing was made. Write another into fly.toml"),
    "bad name": (["--app", "Not_A_Name"], {}, 2, "'Not_A_Name' is no app name"),
    "leading dash": (["--app=-x"], {}, 2, "'-x' is no app name"),
    "expired token": ([], {"FLY_API_TOKEN": "expired"}, 3, "run `flyctl auth login`"),
    "no token": ([], {"FLY_API_TOKEN": ""}, 3, "run `flyctl auth login`"),
    "wrong organisation": (["--org", "other"], {}, 2, "--org 'other': this login knows personal"),
    "flyctl missing": ([], {"FLYCTL": "/nowhere/flyctl-of-old"}, 3, "/nowhere/flyctl-of-old is not there: install it"),
    "no keys": ([], {"POE_API_KEYS": ""}, 2, "no Poe keys: give --keys-file F, or set POE_API_KEYS"),
    "empty item": ([], {"POE_API_KEYS": f"{ALICE},,{BOB}"}, 2, "item 2 is empty"),
    "placeholder": ([], {"POE_API_KEYS": "your-api-key-1"}, 2, "is a placeholder"),
    "duplicate": ([], {"POE_API_KEYS": f"a:{ALICE},b:{ALICE}"}, 2, "is the same key as `a`"),
    "dead key": ([], {"POE_API_KEYS": "a:pk-nobody-knows-this"}, 1, "`a` (item 1): Poe does not accept this key"),
    "short token": ([], {"ACCESS_TOKENS": "team:short"}, 2, "is shorter than 16 characters"),
    "host with a scheme": (["--host", "https://api.example.com"], {}, 2, "leave scheme, port and path out"),
    "host that is a path": (["--host", "api"], {}, 2, "is no host name like api.example.com"),
    "image with a blank": (["--image", "a b"], {}, 2, "is no reference"),
    "missing file": (["--keys-file", "/nowhere/keys"], {}, 2, "--keys-file /nowhere/keys: No such file or directory"),
    "too many machines": (["--machines", "5000"], {}, 2, "is not from 1 to 50"),
    "no number": (["--machines", "two"], {}, 2, "--machines takes a whole number, not 'two'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_line_and_changes_nothing(desk: Desk, case: str) -> None:
    flags, environ, code, line = WRONG[case]
    if case == "flyctl missing":
        desk.monkeypatch.setattr("infra.process.run", _missing)
    ended = fresh(desk, *flags, **environ)
    assert (ended.code, line in ended.line) == (code, True), ended.err
    written = [each for each in desk.writes() if not each.startswith("apps create")]
    assert written == []
    assert desk.state["apps"] == {}


def _missing(argv: list[str], **_: Any) -> None:
    raise FileNotFoundError(argv[0])


def test_flyctl_that_is_too_old_is_refused(desk: Desk) -> None:
    desk.change(lambda state: state.update(version="0.3.200"))
    ended = fresh(desk)
    assert (ended.code, ended.line) == (
        3,
        "flyctl 0.3.200 is older than 0.4.40; `flyctl version upgrade` gets the newest",
    )


def test_an_app_of_another_organisation_is_left_alone(desk: Desk) -> None:
    assert fresh(desk).code == 0
    desk.change(lambda state: state["orgs"].update(second="Second"))
    desk.forget()
    ended = fresh(desk, "--org", "second")
    assert (ended.code, ended.line) == (2, f"{APP} belongs to personal, not to second")
    assert desk.writes() == []


def test_of_several_organisations_one_has_to_be_named(desk: Desk) -> None:
    desk.change(lambda state: state["orgs"].update(second="Second"))
    ended = fresh(desk)
    assert (ended.code, ended.line) == (2, "give --org SLUG: personal, second")
    assert fresh(desk, "--org", "second").code == 0
    assert desk.app["org"] == "second"


def test_without_a_terminal_it_says_which_flag_answers(desk: Desk) -> None:
    ended = desk.run("setup", POE_API_KEYS=KEYS)
    assert ended.code == 2
    assert "give --yes to go on without a question" in ended.line
    assert desk.writes() == []


def test_an_interrupt_tells_what_was_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.setup._addresses", interrupt)
    ended = fresh(desk)
    assert ended.code == 130
    assert ended.line == "interrupted; done so far: app, secrets. The same command goes on from there."


def test_an_interrupt_at_a_prompt_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.console.Console.ask", interrupt)
    ended = desk.run("setup", POE_API_KEYS=KEYS)
    assert (ended.code, ended.line) == (130, "interrupted; nothing was changed. The same command goes on from there.")
    assert desk.writes() == []


def test_a_fly_toml_that_cuts_streams_is_refused(desk: Desk) -> None:
    file = desk.folder / "fly.toml"
    file.write_text(file.read_text().replace('kill_timeout = "300s"', 'kill_timeout = "5s"'))
    ended = fresh(desk)
    assert ended.code == 2
    assert "kill_timeout (5 s) is not above DRAIN_TIMEOUT (280 s)" in ended.line


def test_a_setup_whose_smoke_test_fails_says_where_to_look(desk: Desk) -> None:
    desk.change(lambda state: state.update(ready={"registry.fly.io/g:bad": {"http": 503, "status": "starting"}}))
    ended = fresh(desk, "--image", "registry.fly.io/g:bad")
    assert ended.code == 1
    assert "/ready: starting (HTTP 503)" in ended.line
    assert "There is no earlier release to go back to; `./dev logs`" in ended.line
