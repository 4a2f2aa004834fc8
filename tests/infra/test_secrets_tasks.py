"""`secrets` and its verbs: what is sent is good, what runs is what was sent, and nothing of it is seen anywhere."""

from __future__ import annotations

import json
import re
import stat
import time
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import import_lines, record, secrets
from infra.record import Issued
from tests.infra import fake_flyctl, flying
from tests.infra.flying import ALICE, APP, BOB, CAROL, KEYS, NEXT_TOKEN, TOKEN, Desk, Killed


@pytest.fixture
def running(desk: Desk) -> Desk:
    """An app with two machines, keys of alice and bob, and one token of a team."""
    values = {"POE_API_KEYS": KEYS, "ACCESS_TOKENS": f"team:{TOKEN}"}
    assert desk.run("setup", "--yes", "--no-github", "--machines", "2", **values).code == 0
    desk.forget()
    return desk


def value(desk: Desk, name: str) -> str:
    """What every machine runs with."""
    (found,) = {machine["secrets"].get(name, "") for machine in desk.app["machines"]}
    return str(found)


def kept(desk: Desk) -> Any:
    return json.loads((desk.folder / ".poe-proxy" / f"{APP}.json").read_text())


def digest(token: str) -> str:
    return f"sha256-{sha256(token.encode()).hexdigest()}"


def test_new_keys_are_on_every_machine_without_a_build(running: Desk) -> None:
    ended = running.run("secrets", "--yes", "--keys-file", running.write("keys", f"carol:{CAROL}\n\nbob:{BOB}\n"))
    assert ended.code == 0, ended.err
    assert value(running, "POE_API_KEYS") == f"carol:{CAROL},bob:{BOB}"
    assert value(running, "ACCESS_TOKENS") == f"team:{TOKEN}"
    assert [line.split(" -")[0] for line in running.writes()] == ["secrets import", "secrets deploy"]


def test_from_the_environment_too(running: Desk) -> None:
    ended = running.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}")
    assert ended.code == 0, ended.err
    assert value(running, "POE_API_KEYS") == f"carol:{CAROL}"


def test_a_file_that_is_named_is_all_that_is_meant(running: Desk) -> None:
    ended = running.run(
        "secrets", "--yes", "--keys-file", running.write("keys", f"carol:{CAROL}"), ACCESS_TOKENS=f"other:{NEXT_TOKEN}"
    )
    assert ended.code == 0, ended.err
    assert value(running, "ACCESS_TOKENS") == f"team:{TOKEN}"


def test_what_was_given_out_goes_on_for_the_grace_time(running: Desk) -> None:
    begin = int(time.time())
    ended = running.run(
        "secrets", "--yes", "--grace", "2h", "--tokens-file", running.write("tokens", f"team:{NEXT_TOKEN}")
    )
    assert ended.code == 0, ended.err
    new, old = value(running, "ACCESS_TOKENS").split(",")
    assert new == f"team:{NEXT_TOKEN}"
    assert old.startswith(f"team:{digest(TOKEN)}@20")
    (one, two) = kept(running)["issued"]
    assert (one["digest"], one["ends"]) == (digest(NEXT_TOKEN), None)
    assert (two["digest"], 7190 <= two["ends"] - begin <= 7260) == (digest(TOKEN), True)


def test_the_service_takes_what_is_sent_and_ends_the_old_one_in_time(running: Desk) -> None:
    from service.access.tokens import Tokens
    from service.values import specs

    running.run("secrets", "--yes", "--grace", "2h", "--tokens-file", running.write("tokens", f"team:{NEXT_TOKEN}"))
    tokens = Tokens(specs.tokens(value(running, "ACCESS_TOKENS")))
    now = time.time()
    assert [tokens.tenant_for(each, now) for each in (NEXT_TOKEN, TOKEN)] == ["team", "team"]
    assert [tokens.tenant_for(each, now + 7300) for each in (NEXT_TOKEN, TOKEN)] == ["team", None]


def test_without_grace_a_leaked_token_ends_at_once(running: Desk) -> None:
    assert (
        running.run("secrets", "--yes", "--grace", "0", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}")).code
        == 0
    )
    assert value(running, "ACCESS_TOKENS") == f"team:{NEXT_TOKEN}"


def test_what_is_sent_is_told_by_its_names_and_what_becomes_of_the_earlier_tokens(running: Desk) -> None:
    both = [
        "--keys-file",
        running.write("k", f"carol:{CAROL}"),
        "--tokens-file",
        running.write("t", f"new:{NEXT_TOKEN}"),
    ]
    for grace, told in (
        ("0", "earlier tokens that are not among these end as each machine restarts"),
        ("2h", r"1 earlier token \(team\): good until 20\d\d-\d\d-\d\d \d\d:\d\d UTC"),
    ):
        ended = running.run("secrets", "--dry-run", "--grace", grace, *both)
        assert "carol" not in ended.out
        ended = running.run("secrets", "--grace", grace, *both)  # nobody can be asked: it ends at the question
        assert ended.code == 2
        assert re.search(f"^POE_API_KEYS: carol\nACCESS_TOKENS: new\n{told}$", ended.err, re.MULTILINE), ended.err


def test_a_second_rotation_does_not_lengthen_the_first_ones_grace(running: Desk) -> None:
    assert (
        running.run("secrets", "--yes", "--grace", "1h", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}")).code
        == 0
    )
    third = "team:tok-third-0123456789"
    assert running.run("secrets", "--yes", "--grace", "30d", "--tokens-file", running.write("t", third)).code == 0
    ends = {each["digest"]: each["ends"] for each in kept(running)["issued"]}
    assert ends[digest(TOKEN)] < time.time() + 3700
    assert ends[digest(NEXT_TOKEN)] > time.time() + 29 * 86400


def test_a_token_that_comes_back_has_no_end(running: Desk) -> None:
    assert running.run("secrets", "--yes", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}")).code == 0
    assert (
        running.run("secrets", "--yes", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN} team:{TOKEN}")).code
        == 0
    )
    assert value(running, "ACCESS_TOKENS") == f"team:{NEXT_TOKEN},team:{TOKEN}"


def test_grace_for_tokens_that_nobody_remembers_needs_the_old_file(running: Desk) -> None:
    (running.folder / ".poe-proxy" / f"{APP}.json").unlink()
    new = running.write("new", f"team:{NEXT_TOKEN}")
    ended = running.run("secrets", "--yes", "--tokens-file", new)
    assert ended.code == 3
    assert "give them by --old-tokens-file F, or end them by --grace 0" in ended.line
    assert running.writes() == []
    ended = running.run(
        "secrets", "--yes", "--tokens-file", new, "--old-tokens-file", running.write("old", f"team:{TOKEN}")
    )
    assert ended.code == 0, ended.err
    assert digest(TOKEN) in value(running, "ACCESS_TOKENS")


def test_killed_after_any_call_the_next_run_keeps_the_old_tokens_alive(running: Desk) -> None:
    start = running.state
    record_before = kept(running)
    file = running.write("tokens", f"team:{NEXT_TOKEN}")
    for place in range(1, 30):
        running.change(lambda state: state.update(start))
        (running.folder / ".poe-proxy" / f"{APP}.json").write_text(json.dumps(record_before))
        running.children.clear()
        running.kill_at = place
        try:
            running.run("secrets", "--yes", "--tokens-file", file)
        except Killed:
            pass
        else:
            break
        running.kill_at = 0
        assert running.run("secrets", "--yes", "--tokens-file", file).code == 0
        new, old = value(running, "ACCESS_TOKENS").split(",")
        assert (new, old.partition("@")[0]) == (f"team:{NEXT_TOKEN}", f"team:{digest(TOKEN)}")
    assert 5 < place < 29


@pytest.mark.parametrize("how", ["500", "429", "unreachable", "lost"])
@pytest.mark.parametrize("command", ["status", "secrets list", "secrets import", "secrets deploy"])
def test_whatever_call_fails_the_next_run_ends_well(running: Desk, command: str, how: str) -> None:
    running.fault(command, how)
    file = running.write("keys", f"carol:{CAROL}")
    ended = running.run("secrets", "--yes", "--keys-file", file)
    assert ended.code == 1
    assert ended.line
    assert running.run("secrets", "--yes", "--keys-file", file).code == 0
    assert value(running, "POE_API_KEYS") == f"carol:{CAROL}"


def test_what_is_remembered_is_its_owners_and_no_token(running: Desk) -> None:
    file = running.folder / ".poe-proxy" / f"{APP}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert TOKEN not in file.read_text()


WRONG = {
    "nothing": ([], {}, 2, "nothing new: give --keys-file, --tokens-file, or set POE_API_KEYS or ACCESS_TOKENS"),
    "placeholder": ([], {"POE_API_KEYS": "alice:your-api-key-1"}, 2, "`alice` (item 1) is a placeholder"),
    "empty item": ([], {"POE_API_KEYS": f"{ALICE},,{BOB}"}, 2, "item 2 is empty"),
    "duplicate": ([], {"POE_API_KEYS": f"a:{ALICE} b:{ALICE}"}, 2, "is the same key as `a`"),
    "dead key": (
        [],
        {"POE_API_KEYS": f"alice:{ALICE},x:pk-nobody-knows"},
        1,
        "`x` (item 2): Poe does not accept this key; poe.com/api/keys shows the good ones; nothing was sent to Fly",
    ),
    "dead keys without names": (
        [],
        {"POE_API_KEYS": " ".join([ALICE, *(f"pk-nobody-knows-{each}" for each in range(7))])},
        1,
        "(item 6): Poe does not accept this key; and 2 more; poe.com/api/keys shows the good ones",
    ),
    "a copied header": ([], {"POE_API_KEYS": f"Bearer {ALICE}"}, 2, "(item 1) is a word of a header"),
    "short token": ([], {"ACCESS_TOKENS": "team:short"}, 2, "is shorter than 16 characters"),
    "grace": (
        ["--grace", "soon"],
        {"ACCESS_TOKENS": f"a:{NEXT_TOKEN}"},
        2,
        "--grace 'soon' is no time like 24h, 30m or 0",
    ),
    "long grace": (["--grace", "400d"], {"ACCESS_TOKENS": f"a:{NEXT_TOKEN}"}, 2, "at most 30d"),
    "two inputs": (["--keys-file", "-", "--tokens-file", "-"], {}, 2, "only one file can be `-`"),
    "no file": (["--tokens-file", "/nowhere/t"], {}, 2, "--tokens-file /nowhere/t: No such file or directory"),
    "a folder": (["--keys-file", "/"], {}, 2, "--keys-file /: Is a directory"),
    "huge": ([], {"ACCESS_TOKENS": ",".join(f"t{i}:{'x' * 900}{i:03}" for i in range(80))}, 2, "is longer than 60 KiB"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_line_and_sends_nothing(running: Desk, case: str) -> None:
    flags, environ, code, line = WRONG[case]
    ended = running.run("secrets", "--yes", *flags, **environ)
    assert (ended.code, line in ended.line) == (code, True), ended.err
    assert running.writes() == []


def test_a_key_file_that_is_no_text(running: Desk) -> None:
    path = running.folder.parent / "keys"
    path.write_bytes(b"\xff\xfe\x00")
    assert running.run("secrets", "--yes", "--keys-file", str(path)).line.endswith("no UTF-8 text")
    path.write_bytes(b" \n")
    assert running.run("secrets", "--yes", "--keys-file", str(path)).line.endswith("it is empty")
    for text, what in (
        ("# mine\nabc", "line 1 is a comment"),
        ("a:b\nexport POE_API_KEYS=abc", "line 2 is an assignment"),
    ):
        path.write_text(text)
        line = running.run("secrets", "--yes", "--keys-file", str(path)).line
        assert line.endswith(f"{what}; only VALUE or NAME:VALUE can stand there")
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert running.run("secrets", "--yes", "--keys-file", str(path)).line.endswith("larger than 1 MiB")


def test_a_value_that_fly_did_not_take_is_noticed(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    running.change(lambda state: state["apps"][APP]["secrets"].pop("POE_API_KEYS"))
    monkeypatch.setattr(fake_flyctl, "imported", lambda _: [("OTHER", "x")])
    ended = running.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}")
    assert (ended.code, ended.line) == (1, "Fly did not take POE_API_KEYS; run the same task again")


def test_a_machine_that_runs_with_the_old_values_is_noticed(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(fly: fake_flyctl.Fly) -> str:
        machine = fly.app["machines"][0]
        fly._update(machine, machine["image"], machine["release"] + 1)
        return ""

    monkeypatch.setattr(fake_flyctl.Fly, "secrets_deploy", one)
    ended = running.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}")
    late = running.app["machines"][1]["id"]
    line = f"machine {late} does not run with the new secrets yet; run the same task again"
    assert (ended.code, ended.line) == (1, line)


def test_machines_without_a_usable_key_afterwards_are_told(running: Desk) -> None:
    image = running.app["machines"][0]["image"]
    running.change(lambda state: state.update(ready={image: {"keys": {"dry": 1}}}))
    ended = running.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}")
    assert ended.code == 1
    assert "the new secrets are in use, but: machine" in ended.line
    assert "no Poe key is usable (1 dry)" in ended.line


def test_before_the_first_deployment_they_wait(desk: Desk) -> None:
    desk.change(lambda state: state["apps"].update({APP: {
        "org": "personal", "secrets": {}, "machines": [], "releases": [], "ips": [], "certs": {}, "tokens": []
    }}))  # fmt: skip
    ended = desk.run("secrets", "--yes", POE_API_KEYS=KEYS)
    assert ended.code == 0
    assert ended.line == "secrets: POE_API_KEYS wait for the first deployment"
    assert desk.calls("secrets deploy") == []


def test_githubs_copies_follow(desk: Desk) -> None:
    desk.gh = {"login": True, "environments": {}}
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    assert desk.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}").code == 0
    assert desk.gh["environments"]["production"]["POE_API_KEYS"] == f"carol:{CAROL}"
    desk.gh = {"login": False, "environments": {}}
    ended = desk.run("secrets", "--yes", POE_API_KEYS=KEYS)
    assert ended.code == 0
    assert "GitHub still has the earlier values" in ended.err


def test_githubs_copies_follow_what_another_clone_sends(desk: Desk) -> None:
    """One that knows nothing of who stored them."""
    desk.gh = {"login": True, "environments": {}}
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    for kept in (desk.folder / ".poe-proxy").iterdir():
        kept.unlink()
    desk.gh["trouble"] = True
    ended = desk.run("secrets", "--yes", POE_API_KEYS=f"bob:{BOB}")
    assert ended.code == 0
    assert "GitHub still has the earlier values (gh secret: HTTP 500" in ended.err
    assert "GitHub still has the earlier POE_API_KEYS" not in desk.run("setup", "--yes").err  # it cannot be asked
    del desk.gh["trouble"]
    assert "GitHub still has the earlier POE_API_KEYS" in desk.run("setup", "--yes").err
    assert desk.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}").code == 0
    assert desk.gh["environments"]["production"]["POE_API_KEYS"] == f"carol:{CAROL}"


def test_githubs_environment_is_another_apps_by_now(desk: Desk) -> None:
    """Two apps of one folder, both without `-staging`: the last that was set up has the environment."""
    desk.gh = {"login": True, "environments": {}}
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    assert desk.run("setup", "--yes", "--app", "another-app", POE_API_KEYS=f"bob:{BOB}").code == 0
    assert desk.gh["variables"] == {"production": {"FLY_APP": "another-app"}}
    ended = desk.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}")
    assert ended.code == 0
    assert "GitHub still has the earlier values (its environment production is about another-app)" in ended.err
    assert desk.gh["environments"]["production"]["POE_API_KEYS"] == f"bob:{BOB}"


def test_github_without_copies_gets_none(desk: Desk) -> None:
    assert desk.run("setup", "--yes", "--no-github", POE_API_KEYS=KEYS).code == 0
    desk.gh = {"login": True, "environments": {"production": {}}}
    assert desk.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}").code == 0
    assert desk.gh["environments"] == {"production": {}}


def test_an_import_without_an_answer_is_looked_up_at_once(running: Desk) -> None:
    """What somebody else sends later must not pass for it."""
    running.fault("secrets import", "500")
    assert running.run("secrets", "--yes", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}")).code == 1
    assert kept(running)["sending"] == kept(running)["staged"] == []
    running.fault("secrets import", "lost")
    assert running.run("secrets", "--yes", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}")).code == 1
    assert [each["digest"] for each in kept(running)["staged"]] == [digest(NEXT_TOKEN), digest(TOKEN)]


def test_an_image_that_was_never_tested_is_told_when_new_secrets_do_not_mend_it(running: Desk) -> None:
    image = f"registry.fly.io/{APP}:bad"
    running.kill_at = 6
    with pytest.raises(Killed):
        running.run("deploy", "--image", image)
    running.kill_at = 0
    assert {machine["image"] for machine in running.app["machines"]} == {image}
    running.change(lambda state: state.update(ready={image: {"http": 503}}))
    ended = running.run("secrets", "--yes", POE_API_KEYS=f"carol:{CAROL}")
    assert (ended.code, "`./dev rollback` takes back an image that was never tested" in ended.line) == (1, True)


def test_a_new_token_that_no_machine_takes_is_told(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = flying.of_machine

    def deaf(state: Any, machine: Any, path: str, token: str) -> tuple[int, Any]:
        return (401, {}) if token == NEXT_TOKEN else real(state, machine, path, token)

    monkeypatch.setattr(flying, "of_machine", deaf)
    ended = running.run("secrets", "--yes", ACCESS_TOKENS=f"team:{NEXT_TOKEN}")
    assert ended.code == 1
    assert "/v1/models with a token: HTTP 401 instead of HTTP 200" in ended.line


def test_a_dry_run_sends_nothing_and_remembers_nothing(running: Desk) -> None:
    before = kept(running)
    ended = running.run("secrets", "--dry-run", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}"))
    assert ended.code == 0
    assert f"flyctl secrets import --stage --app={APP}" in ended.out.splitlines()
    assert running.writes() == []
    assert kept(running) == before


def test_the_answer_for_scripts_tells_what_changed(running: Desk) -> None:
    told = running.run("secrets", "--yes", "--json", POE_API_KEYS=f"carol:{CAROL}").json
    assert told == {"app": APP, "sent": ["POE_API_KEYS"], "changed": ["POE_API_KEYS"]}
    told = running.run("secrets", "--yes", "--json", POE_API_KEYS=f"carol:{CAROL}").json
    assert told["changed"] == []


def test_the_list_shows_names_and_digests_only(running: Desk) -> None:
    ended = running.run("secrets.list")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["NAME", "POE_API_KEYS", "ACCESS_TOKENS"]
    assert running.run("secrets.list", "--json").json[0]["status"] == "Deployed"


def test_check_is_content_with_what_setup_made(running: Desk) -> None:
    ended = running.run("secrets.check")
    assert (ended.code, ended.out) == (0, "ok      secrets        all that the service needs is there and in use\n")


def test_check_finds_drift(running: Desk) -> None:
    def drift(state: dict[str, Any]) -> None:
        found = state["apps"][APP]["secrets"]
        del found["ACCESS_TOKENS"]
        found["POE_API_KEYS"]["value"] += ",more"
        found["OPENAI_KEY"] = {"value": "x"}
        found["PORT"] = {"value": "8080"}

    running.change(drift)
    ended = running.run("secrets.check", "--json")
    assert ended.code == 4
    assert {(each["name"], each["problem"].split(":")[0]) for each in ended.json} == {
        ("ACCESS_TOKENS", "is not on Fly"),
        ("POE_API_KEYS", "is staged"),
        ("OPENAI_KEY", "is no setting of the service"),
        ("PORT", "stands in fly.toml's env too, where it has no effect"),
        ("PORT", "is staged"),
    }
    assert "→ ./dev secrets.remove --name OPENAI_KEY" in running.run("secrets.check").out


def test_remove(running: Desk) -> None:
    running.change(lambda state: state["apps"][APP]["secrets"].update(OLD={"value": "x"}))
    assert running.run("secrets.remove", "--name", "OLD", "--yes").code == 0
    assert "OLD" not in running.app["secrets"]
    running.forget()
    ended = running.run("secrets.remove", "--name", "OLD", "--yes")
    assert (ended.code, ended.out, running.writes()) == (0, f"{APP} has no secret OLD\n", [])


def test_a_removal_that_was_cut_short_is_finished(running: Desk) -> None:
    """Fly no longer lists it, while the machines still run with it."""
    running.change(lambda state: state["apps"][APP]["secrets"].update(OLD={"value": "x"}))
    assert running.run("deploy", "--image", running.app["machines"][0]["image"]).code == 0
    running.fault("secrets deploy", "unreachable")
    assert running.run("secrets.remove", "--name", "OLD", "--yes").code == 1
    assert "OLD" in running.app["machines"][0]["secrets"]
    ended = running.run("secrets.remove", "--name", "OLD", "--yes")
    assert ended.code == 0, ended.err
    assert "OLD" not in running.app["machines"][0]["secrets"]
    running.forget()
    assert running.run("secrets.remove", "--name", "OLD", "--yes").code == 0
    assert running.writes() == []


def test_a_removal_that_was_cut_short_is_finished_by_setup(running: Desk) -> None:
    running.change(lambda state: state["apps"][APP]["secrets"].update(OLD={"value": "x"}))
    assert running.run("deploy", "--image", running.app["machines"][0]["image"]).code == 0
    running.fault("secrets deploy", "unreachable")
    assert running.run("secrets.remove", "--name", "OLD", "--yes").code == 1
    running.forget()
    assert running.run("setup", "--yes", "--no-github").code == 0
    assert "OLD" not in running.app["machines"][0]["secrets"]
    running.forget()
    assert running.run("setup", "--yes", "--no-github").code == 0
    assert running.writes() == []


def test_a_secret_of_an_app_without_machines_can_be_removed(desk: Desk) -> None:
    assert desk.run("setup", "--yes", POE_API_KEYS=KEYS).code == 0
    desk.change(lambda state: state["apps"][APP]["machines"].clear())
    desk.change(lambda state: state["apps"][APP]["secrets"].update(OLD={"value": "x"}))
    assert desk.run("secrets.remove", "--name", "OLD", "--yes").code == 0
    assert "OLD" not in desk.app["secrets"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("", "--name FLY_SECRET is missing"),
        ("a b", "--name FLY_SECRET is missing"),
        ("POE_API_KEYS", "the service does not start without POE_API_KEYS"),
    ],
)
def test_remove_refuses(running: Desk, name: str, line: str) -> None:
    ended = running.run("secrets.remove", "--yes", *(["--name", name] if name else []))
    assert ended.code == 2
    assert line in ended.line
    assert running.writes() == []


def test_a_new_token_is_one_that_the_service_takes(desk: Desk) -> None:
    from service.values import specs

    made = [desk.run("tokens.new", "--name", "team").out.strip() for _ in range(2)]
    assert made[0] != made[1]
    assert [each.name for each in specs.tokens(",".join(made))] == ["team", "team"]
    told = desk.run("tokens.new", "--json").json
    assert specs.tokens(f"{told['name']}:{told['token']}")
    assert desk.run("tokens.new", "--name", "Team A").code == 2
    assert desk.children == []


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), st.text(min_size=1), min_size=1))
def test_what_is_accepted_arrives_at_fly_unchanged(values: dict[str, str]) -> None:
    try:
        text = import_lines.encode(values).decode()
    except (ValueError, UnicodeEncodeError):
        return
    assert dict(fake_flyctl.imported(text)) == values


@pytest.mark.parametrize("value", ["", "a\nb", "a\r", "a\0", '"', '""x', 'a"b#c', "x" * 70_000])
def test_what_flyctl_would_drop_or_cut_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(ValueError, match="the value of NAME") as refused:
        import_lines.encode({"NAME": value})
    assert len(value) < 3 or value not in str(refused.value)


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "export A", "Ä", "-A"])
def test_a_name_that_fly_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a secret"):
        import_lines.encode({name: "x"})


def test_the_stand_in_has_flyctls_faults() -> None:
    """As fly.md saw them; else the tests above would prove nothing."""
    assert fake_flyctl.imported("A=abc#def") == [("A", "abc")]
    assert fake_flyctl.imported('A="abc#def"') == [("A", "abc#def")]
    assert fake_flyctl.imported(f"A=1\nB={'x' * 70_000}\nC=3") == [("A", "1")]
    assert fake_flyctl.imported("export A=1") == [("export A", "1")]


def test_kept_tokens_end_when_they_ended_or_should() -> None:
    known = [Issued("a", "d1"), Issued("b", "d2", 150.0), Issued("c", "d3", 90.0), Issued("d", "d4", 9999.0)]
    found = secrets.kept_tokens(known, [Issued("x", "d9")], 100.0, 100.0)
    assert [(each.name, each.ends) for each in found] == [("a", 200.0), ("b", 150.0), ("d", 200.0)]
    assert secrets.kept_tokens(known, [], 0.0, 100.0) == ()
    assert Issued("a", "sha256-00", 0.0).written() == "a:sha256-00@1970-01-01T00:00:00Z"


def test_a_damaged_record_is_told(running: Desk) -> None:
    (running.folder / ".poe-proxy" / f"{APP}.json").write_text("{")
    ended = running.run("secrets", "--yes", "--tokens-file", running.write("t", f"team:{NEXT_TOKEN}"))
    assert (ended.code, ended.line) == (2, f".poe-proxy/{APP}.json is damaged; move it away")


def test_a_record_is_whole_or_not_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    drawer = record.Drawer(desk.folder, APP)
    drawer.keep(record.Record(environment="first"))

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        drawer.keep(record.Record(environment="second"))
    assert drawer.record().environment == "first"
