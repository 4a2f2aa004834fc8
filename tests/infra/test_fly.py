"""The wrapper around flyctl: what it starts, with what, and what becomes of how that ended."""

from __future__ import annotations

import os
import re
import stat
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import environ, fly
from infra.fly import COMMANDS, Effect, Fly, FlyError
from infra.redact import Redactor
from infra.refusal import Refusal, told
from infra.task import ExitCode
from tests.infra.surface import parsed, surface

SECRET = "pk-alice-Zq3vT8pLw5Xk"
Program = Callable[..., Fly]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A wrapper around a program of these Python lines."""

    def make(lines: str, *, dry_run: bool = False, noted: list[str] | None = None, **given: str) -> Fly:
        binary = tmp_path / "fly ctl"
        binary.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{textwrap.dedent(lines)}\n")
        binary.chmod(0o755)
        surroundings = environ.for_flyctl({"PATH": os.environ["PATH"], **given}, str(tmp_path))
        sink = [] if noted is None else noted
        return Fly(str(binary), surroundings, Redactor([SECRET]), dry_run=dry_run, noted=sink.append)

    return make


def test_every_command_that_can_be_run_exists_and_takes_json_where_it_is_asked_to() -> None:
    commands = surface()["commands"]
    for name, command in COMMANDS.items():
        assert commands[name]["runnable"], name
        if command.json:
            assert commands[name]["json"], name
            assert parsed([*name.split(), *["x"] * commands[name]["min"], "--json"])


def test_nothing_that_writes_is_called_a_reader() -> None:
    readers = {name for name, command in COMMANDS.items() if command.effect is Effect.READS}
    verbs = {name.split()[-1] for name in readers}
    assert verbs == {"version", "whoami", "token", "list", "regions", "status", "releases", "show", "validate", "logs"}


def test_a_command_that_is_not_known_is_never_run(program: Program) -> None:
    """flyctl itself shows its help for `certs renew`, and exits 0."""
    with pytest.raises(ValueError, match="none of the commands"):
        program("sys.exit('it ran')").text("certs renew")


@pytest.mark.parametrize("word", ["a\nb", "a\0b", "a\r", ""])
def test_an_argument_that_could_be_misread_is_never_passed(program: Program, word: str) -> None:
    with pytest.raises(ValueError, match="an argument"):
        program("sys.exit('it ran')").text("certs list", word)


@pytest.mark.parametrize("word", ["$(touch x)", "; ls", "two words", "'quoted' \"twice\"", "*", "--flag", "ünïcode"])
def test_arguments_arrive_as_they_are(program: Program, word: str) -> None:
    answer = program("print(json.dumps(sys.argv[1:]))").json("status", word, app="demo")
    assert answer == ["status", word, "--json", "--app=demo"]


def test_secrets_arrive_by_standard_input_alone(program: Program, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    flyctl = program(f"open({str(seen)!r}, 'w').write(json.dumps([sys.stdin.read(), sys.argv, dict(os.environ)]))")
    flyctl.text("secrets import", "--stage", app="demo", stdin=f'A="{SECRET}"\n'.encode())
    assert seen.read_text().count(SECRET) == 1
    assert seen.read_text().startswith('["A=')


def test_without_anything_to_read_flyctl_reads_nothing(program: Program) -> None:
    assert program("print(json.dumps(sys.stdin.read()))").text("status", app="demo") == '""\n'


def test_the_environment_is_quiet_and_holds_no_secret_of_ours() -> None:
    given = {
        "PATH": "/bin", "HOME": "/home/app", "LC_ALL": "C", "FLY_API_TOKEN": "t", "HTTPS_PROXY": "p",
        "POE_API_KEYS": "x", "ACCESS_TOKENS": "x", "GH_TOKEN": "x", "GITHUB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "LOG_LEVEL": "debug", "FLY_APP": "x", "FLY_REGION": "x", "FLY_ORG": "x", "FLY_ACCESS_TOKEN": "x",
        "FLY_JSON": "1", "FLY_FORCE_INSTANCE_ID": "x", "DEBUG": "1",
    }  # fmt: skip
    made = environ.for_flyctl(given, "/folder")
    assert made == {
        "PATH": "/bin", "HOME": "/home/app", "LC_ALL": "C", "FLY_API_TOKEN": "t", "HTTPS_PROXY": "p",
        "FLY_CONFIG_DIR": "/folder", "FLY_NO_UPDATE_CHECK": "1", "FLY_NO_INCIDENTS_CHECK": "1", "FLY_SEND_METRICS": "0",
        "FLY_SYNTHETICS_AGENT": "0", "FLY_TRACE_COLLECTOR_URL": "127.0.0.1", "NO_COLOR": "1",
    }  # fmt: skip
    assert "FLY_API_TOKEN" not in environ.for_gh(given)
    assert environ.for_gh(given)["GH_TOKEN"] == "x"
    assert set(environ.for_service(given)) == {"PATH", "HOME", "LC_ALL", "HTTPS_PROXY"}
    assert set(environ.for_anything(given)) == {"PATH", "HOME", "LC_ALL", "HTTPS_PROXY"}


def test_flyctl_can_keep_no_log_of_bodies_and_keeps_its_login(tmp_path: Path) -> None:
    own = tmp_path / ".fly"
    own.mkdir()
    (own / "config.yml").write_text("access_token: fo1_x\n")
    with fly.configuration({"HOME": str(tmp_path)}) as name:
        folder = Path(name)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / "logs").is_file()
        # What flyctl writes there, with `os.WriteFile`, is the person's own file.
        (folder / "config.yml").write_text("access_token: fo1_y\n")
    assert (own / "config.yml").read_text() == "access_token: fo1_y\n"
    assert not folder.exists()
    assert sorted(path.name for path in own.iterdir()) == ["config.yml"]


def test_without_a_login_of_ones_own_none_is_made_up(tmp_path: Path) -> None:
    with fly.configuration({"HOME": str(tmp_path)}) as name:
        assert [path.name for path in Path(name).iterdir()] == ["logs"]


def test_a_dry_run_runs_readers_only_and_notes_everything(program: Program, tmp_path: Path) -> None:
    noted: list[str] = []
    flyctl = program(f"open({str(tmp_path / 'ran')!r}, 'a').write(sys.argv[1]); print('[]')", dry_run=True, noted=noted)
    assert flyctl.json("status", app="demo") == []
    assert flyctl.json("apps create", "demo", "--org=two words") is None
    assert flyctl.text("secrets import", "--stage", app="demo", stdin=b"A=1") == ""
    assert (tmp_path / "ran").read_text() == "status"
    assert [line.partition("' ")[2] for line in noted] == [
        "status --json --app=demo",
        "apps create demo '--org=two words' --json",
        "secrets import --stage --app=demo",
    ]


def test_an_error_is_one_line_without_the_secret(program: Program) -> None:
    flyctl = program(f"print('Error: value {SECRET} is odd (Request ID: 01X)', file=sys.stderr); sys.exit(1)")
    with pytest.raises(FlyError) as failed:
        flyctl.text("secrets import", app="demo", stdin=SECRET.encode())
    assert failed.value.message == "flyctl secrets import: value *** is odd"
    assert failed.value.code == ExitCode.FAILED
    assert SECRET not in repr(failed.value) + repr(flyctl) + repr(failed.getrepr(style="short"))


def test_progress_is_told_without_secrets(program: Program) -> None:
    heard: list[str] = []
    flyctl = program(
        f"print('> \\x1b[32mUpdating\\x1b[0m {SECRET}', flush=True); print('FlyV1 fm2_abc==', file=sys.stderr)"
    )
    flyctl.hear = heard.append
    flyctl.text("deploy", app="demo")
    assert sorted(heard) == ["***", "> Updating ***"]


def test_a_new_token_is_not_told_as_progress(program: Program) -> None:
    heard: list[str] = []
    flyctl = program("print(json.dumps({'token': 'something-new'}))")
    flyctl.hear = heard.append
    assert flyctl.json("tokens create deploy", app="demo") == {"token": "something-new"}
    assert heard == []


def test_a_call_that_takes_too_long_is_ended(program: Program) -> None:
    with pytest.raises(FlyError) as failed:
        program("time.sleep(30)").text("status", app="demo", seconds=0.3)
    assert failed.value.refusal is Refusal.TIMEOUT
    assert "took too long and was stopped; run the same task again" in str(failed.value.message)


def test_help_in_place_of_an_answer_is_a_failure(program: Program) -> None:
    with pytest.raises(FlyError, match="showed its help"):
        program("print('Manages certificates\\n\\nUsage:\\n  flyctl certs [command]\\n')").text("certs list")


def test_something_else_than_json_is_a_failure(program: Program) -> None:
    with pytest.raises(FlyError, match="something else than JSON"):
        program("print('all is well')").json("status", app="demo")


def test_a_program_that_is_not_there_says_how_to_get_it() -> None:
    flyctl = Fly("/nowhere/flyctl", {}, Redactor())
    with pytest.raises(FlyError) as failed:
        flyctl.text("version")
    assert failed.value.code == ExitCode.NOT_SET_UP
    assert "install it" in str(failed.value.message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}\n', {"a": 1}),
        ("null\n", None),
        ('DEBUG Loaded flyctl config from here\n[{"a": 1}]', [{"a": 1}]),
        ('[WARN] the app is old {x}\n{"a": 1}', {"a": 1}),
        ('[{"a": 1}]\nThere are more certificates than these.\n', [{"a": 1}]),
    ],
)
def test_json_is_found_among_sentences(text: str, value: object) -> None:
    assert fly.first_json(text) == value


def test_a_log_is_many_values() -> None:
    assert list(fly.json_values('{\n "a": 1\n}\n{\n "b": [2]\n}\n')) == [{"a": 1}, {"b": [2]}]
    assert list(fly.json_values("")) == []


QUERY = "failed to get app: failed to run query ($appName: String!) { app(name: $appName) { id organization { id } } }"


@pytest.mark.parametrize(
    ("stderr", "refusal", "line"),
    [
        (f'Error: {QUERY}: Could not find App "x"\n', Refusal.NO_APP, 'Could not find App "x"; `./dev setup` makes it'),
        (f"Error: {QUERY}: server returned a non-200 status code: 401", Refusal.NO_LOGIN, "run `flyctl auth login`"),
        (f"Error: {QUERY}: server returned a non-200 status code: 500", Refusal.BROKEN, "status.flyio.net"),
        (
            "Error: no access token available. Please login with 'flyctl auth login'",
            Refusal.NO_LOGIN,
            "available; run `flyctl auth login`, or put",
        ),
        ("Error: failed to list VMs: x (Request ID: 01AB-nrt) (Trace ID: 1)", Refusal.OTHER, "failed to list VMs: x"),
        ("Error: You hit a Fly API error with request ID: 1: 429", Refusal.BUSY, "wait a minute"),
        ('Error: Post "https://api.machines.dev": dial tcp: no such host', Refusal.UNREACHABLE, "check the network"),
        ("Error: Validation failed: Name has already been taken", Refusal.TAKEN, "choose another name with --app"),
        (
            'Error: failed to fetch an image or build from source: could not find image "x"',
            Refusal.NO_IMAGE,
            "releases",
        ),
        (
            "Error: timeout reached waiting for health checks to pass for machine abc: 0/1",
            Refusal.UNHEALTHY,
            "for machine abc: 0/1; `./dev logs`",
        ),
        (
            "panic: runtime error: slice bounds out of range [1:0]\n\ngoroutine 1 [running]:",
            Refusal.OTHER,
            "slice bounds",
        ),
        ("", Refusal.OTHER, "ended with exit code 1 and without a word"),
        ("Error: " + "x" * 5000, Refusal.OTHER, "x…"),
    ],
)
def test_what_flyctl_says_becomes_a_line_with_the_next_step(stderr: str, refusal: Refusal, line: str) -> None:
    kind, text = told(stderr, "", 1)
    assert kind is refusal
    assert line in text
    assert "\n" not in text
    assert "query" not in text
    assert "Request ID: 0" not in text
    assert len(text) < 600


def test_the_redactor_hides_every_form_and_escape_codes() -> None:
    redact = Redactor()
    redact.add("alice:pk-one-1111, pk-two-2222\nbob/x:pk-three-3333")
    text = redact("a pk-one-1111 b pk-two-2222 c pk-three-3333 d \x1b[31mred\x1b[0m e FlyV1 fm2_lJPE= f\x07")
    assert text == "a *** b *** c *** d red e *** f"
    assert not re.search(r"pk-", repr(redact))
    assert Redactor([""])("nothing") == "nothing"


def test_a_secret_that_another_begins_with_leaves_nothing_of_it() -> None:
    assert Redactor(["pk-one", "pk-one-and-more"])("a pk-one-and-more b pk-one") == "a *** b ***"


def test_the_redactor_knows_a_token_without_its_end() -> None:
    redact = Redactor(["team:tok-7f3a9c2e@2026-12-01T00:00Z,tok-0b1c2d3e@2027-01-01T00:00Z"])
    assert redact("a tok-7f3a9c2e b tok-0b1c2d3e c somebody@example.com") == "a *** b *** c somebody@example.com"


def test_the_redactor_leaves_no_control_of_a_terminal() -> None:
    assert Redactor()("a\x9b31mb\x1b]0;title\x07c\x85d") == "a31mbcd"
