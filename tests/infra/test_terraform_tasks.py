"""The tasks around the app: real Terraform, a bucket and a Grafana on loopback, providers that know only schemas.

No secret may reach a state, a plan, an argument list, a program that need not know it, or the output: planted values
are looked for in all of them, after every task.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from tf.gen import tfplugin_pb2 as pb

import tasks
from infra import console, process, terraform
from infra.program import Tasks
from tests.infra import bucket
from tests.infra.schema_provider import Provider, load, pack, serving, unpack
from tests.infra.terraform_cli import ADDRESSES, ROOT, SCHEMAS, copied, write

PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "planted-bucket-key",
    "CLOUDFLARE_API_TOKEN": "planted-cloudflare-token",
    "GITHUB_TOKEN": "planted-github-token",
    "GRAFANA_AUTH": "planted-grafana-token",
    "FLY_METRICS_TOKEN": "FlyV1 planted-metrics-token",
    "POE_API_KEYS": "planted-poe-key",
    "ACCESS_TOKENS": "planted-access-token",
}
VALUES = {"fly_org": '"acme"', "alert_emails": '["ops@example.com"]', "repository": '"acme/poe-proxy"'}
NO_TOKEN = "Grafana's data source has no token now: `./dev monitor.setup --app poe-proxy-staging` gives it one\n"
OF_TERRAFORM = {"AWS_SECRET_ACCESS_KEY", "CLOUDFLARE_API_TOKEN", "GITHUB_TOKEN", "GRAFANA_AUTH"}
"""What Terraform's own environment has to hold."""
BINARY = shutil.which("terraform") or shutil.which("tofu")
pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="no terraform or tofu binary"),
    pytest.mark.xdist_group("terraform"),
]

Run = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> Iterator[bytes]:
    """What is in every file of a folder; a plan is an archive of several."""
    for path in folder.rglob("*"):
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from (archive.read(name) for name in archive.namelist())
        elif path.is_file():
            yield path.read_bytes()


def test_what_is_in_a_plan_is_looked_at(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "plan", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tfplan", "planted " * 50)
    assert b"planted" in b"".join(contents(tmp_path))


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[dict[str, Provider], dict[str, str]]]:
    loaded = {address: load(SCHEMAS / f"{name}.json") for address, name in ADDRESSES.items()}
    with serving(loaded) as environ:
        yield loaded, environ


@pytest.fixture
def state() -> Iterator[bucket.Bucket]:
    with bucket.serving() as served:
        yield served


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the Terraform files, about an app of its own."""
    copy = copied(tmp_path / "terraform")
    staging = copy / "environments" / "staging"
    write(staging, **VALUES)
    root = (staging / "root.tf").read_text()
    (staging / "root.tf").write_text(root.replace('backend "s3" {', 'backend "s3" {\n    max_retries = 1'))
    monkeypatch.setattr(terraform, "FOLDER", copy / "environments")
    return staging


@pytest.fixture
def run(
    providers: tuple[Any, dict[str, str]],
    state: bucket.Bucket,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run tasks with these words as `./dev` does, with a secret in every variable that may hold one."""
    (tmp_path / "terraform.rc").touch()
    settings = {
        "TERRAFORM": str(BINARY),
        "TF_STATE_BUCKET": "state",
        "AWS_ACCESS_KEY_ID": "somebody",
        "TF_LOG": "trace",  # would print what goes over the wire
        "TF_CLI_ARGS": "-nonsense",
        "AWS_ENDPOINT_URL_S3": state.url,
        "GRAFANA_URL": "http://127.0.0.1:9",
        "TF_CLI_CONFIG_FILE": str(tmp_path / "terraform.rc"),
        **providers[1],
        **PLANTED,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FLY_APP", raising=False)

    seen: list[bytes] = []
    start = process.run

    def watched(argv: Sequence[str], *, environ: Mapping[str, str], **rest: Any) -> process.Finished:
        """Run it, and keep what a secret might be in: argument list, foreign variables, everything left in a file."""
        finished = start(argv, environ=environ, **rest)
        seen.append(
            "\n".join([*argv, *(value for name, value in environ.items() if name not in OF_TERRAFORM)]).encode()
        )
        if "TF_DATA_DIR" in environ:
            seen.extend(contents(Path(environ["TF_DATA_DIR"]).parent))
        return finished

    monkeypatch.setattr(process, "run", watched)

    def run(*words: str) -> tuple[int, str, str]:
        seen.clear()
        with pytest.raises(SystemExit) as ended:
            Tasks(name="./dev", binary="./dev", namespace=tasks.namespace).run(["./dev", *words])
        shown = capsys.readouterr()
        everything = b"\n".join([*seen, *state.objects.values(), shown.out.encode(), shown.err.encode()])
        for value in PLANTED.values():
            assert value.encode() not in everything
        return (int(ended.value.code or 0), *shown)

    return run


def test_a_plan_changes_nothing_and_an_apply_does_it_once(run: Run, state: bucket.Bucket) -> None:
    code, planned, _ = run("infra.plan")
    assert code == 0
    assert "poe-proxy staging" in planned
    assert not state.objects

    code, told, _ = run("infra.plan", "--json", "--check")
    changes = json.loads(told)["changes"]
    assert code == 4
    assert {tuple(each["actions"]) for each in changes} == {("create",)}

    code, told, said = run("infra.apply", "--yes", "--json")
    assert code == 0
    assert json.loads(told)["changes"] == changes
    assert "FLY_API_TOKEN has no value now: gh secret set FLY_API_TOKEN --env staging\n" in said
    assert NO_TOKEN in said
    held = json.loads(state.objects["staging/terraform.tfstate"])
    assert {each["type"] for each in held["resources"] if each["mode"] == "managed"} >= {
        "grafana_rule_group",
        "github_actions_environment_secret",
    }

    code, told, _ = run("infra.plan", "--check")
    assert (code, told) == (0, "staging: nothing to change\n")


def test_an_app_that_got_a_name_of_its_own_is_not_taken_for_the_one_everybody_begins_with(
    run: Run, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fly.toml").write_text('app = "my-gateway"\n')
    code, told, said = run("infra.plan", "--environment", "production")
    assert (code, told) == (3, "")
    assert said.splitlines()[-1] == (
        "infra/terraform/environments/production/main.tf is still about the app poe-proxy, fly.toml about my-gateway: "
        "write your app's name there"
    )
    write(tree.parent / "production", app='"my-gateway"', **VALUES)
    assert run("infra.plan", "--environment", "production")[0] == 0
    write(tree.parent / "production", app='"poe-proxy"')
    for text in ('app = "poe-proxy"\n', ""):
        (tmp_path / "fly.toml").write_text(text)
        assert run("infra.plan", "--environment", "production")[0] == 0


def test_an_apply_says_what_it_took_the_value_from(run: Run, tree: Path) -> None:
    assert run("infra.apply", "--yes")[0] == 0
    write(tree, **{**VALUES, "alert_emails": '["others@example.com"]'})
    code, told, said = run("infra.apply", "--yes", "--json")
    assert (code, "grafana_contact_point" in told, NO_TOKEN in said) == (0, True, False)
    write(tree, **{**VALUES, "fly_org": '"others"', "repository": '"acme/another"'})
    code, told, said = run("infra.apply", "--yes", "--json")
    changes = {
        each["resource"].removeprefix("module.environment.module."): each["actions"]
        for each in json.loads(told)["changes"]
    }
    assert code == 0
    assert changes["monitoring[0].grafana_data_source.fly"] == ["update"]
    assert NO_TOKEN in said
    assert changes['github[0].github_actions_environment_secret.this["FLY_API_TOKEN"]'] == ["update"]
    assert "FLY_API_TOKEN has no value now" in said


class GitHub(Provider):
    """A GitHub whose environment is there already, with one secret, as `./dev setup` leaves it."""

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        said = unpack(super().ReadDataSource(request, context).state)
        if "environments" in said:
            said["environments"] = [{"name": "staging", "node_id": "E_1"}]
        if "secrets" in said:
            said["secrets"] = [{"name": "FLY_API_TOKEN", "created_at": "", "updated_at": ""}]
        return pb.ReadDataSource.Response(state=pack(said))

    def ImportResourceState(self, request: Any, context: Any) -> Any:
        names = ("repository", "environment", "secret_name")
        empty = dict.fromkeys(self.resources[request.type_name]["block"]["attributes"])
        state = pack({**empty, **dict(zip(names, request.id.split(":"), strict=True)), "id": request.id})
        imported = pb.ImportResourceState.ImportedResource(type_name=request.type_name, state=state)
        return pb.ImportResourceState.Response(imported_resources=[imported])


def test_what_github_has_already_is_imported_and_not_asked_for_again(
    run: Run, providers: tuple[dict[str, Provider], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    github = GitHub(json.loads((SCHEMAS / "github.json").read_text()))
    others = {address: each for address, each in providers[0].items() if address != "integrations/github"}
    with serving({**others, "integrations/github": github}) as found:
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        code, told, said = run("infra.apply", "--yes", "--json")
        assert code == 0
        actions = {each["resource"]: each["actions"] for each in json.loads(told)["changes"]}
        secret = 'module.environment.module.github[0].github_actions_environment_secret.this["{}"]'
        assert actions[secret.format("FLY_API_TOKEN")] == ["import"]
        assert actions[secret.format("POE_API_KEYS")] == ["create"]
        assert "gh secret set POE_API_KEYS --env staging" in said
        assert "gh secret set FLY_API_TOKEN" not in said
        assert json.loads(run("infra.plan", "--json")[1])["changes"] == []


def test_nobody_to_ask_means_nothing_is_changed(run: Run, state: bucket.Bucket) -> None:
    code, _, told = run("infra.apply")
    assert code == 2
    assert "--yes" in told
    assert "staging/terraform.tfstate" not in state.objects


def test_two_applies_at_once_are_kept_apart(run: Run, state: bucket.Bucket) -> None:
    lock = json.dumps({"ID": "1", "Who": "somebody else", "Operation": "OperationTypeApply"})
    state.objects["staging/terraform.tfstate.tflock"] = lock.encode()
    code, _, told = run("infra.apply", "--yes")
    assert code == 1
    last = told.splitlines()[-1]
    assert last.startswith("terraform plan: Error acquiring the state lock; somebody else is at it; wait, or")
    assert run("infra.plan")[0] == 0


def test_a_mistake_is_told_in_one_line_after_terraforms_own(run: Run, tree: Path) -> None:
    write(tree, alert_emails='["nobody"]')
    code, _, told = run("infra.plan")
    assert code == 1
    assert "Each must be an e-mail address." in told
    assert told.endswith("terraform plan: Invalid value for variable\n")


def test_a_bucket_that_is_not_there_is_one_line(run: Run, state: bucket.Bucket) -> None:
    state.missing = True
    code, told, error = run("infra.plan")
    assert (code, told) == (3, "")
    assert error.startswith("terraform init: the bucket of TF_STATE_BUCKET is not there")
    assert error.count("\n") == 1


def test_a_terraform_that_is_too_old_is_one_line(run: Run, tree: Path) -> None:
    root = tree / "root.tf"
    root.write_text(root.read_text().replace(">= 1.11", ">= 99"))
    code, _, error = run("infra.plan")
    assert code == 3
    assert "too old: install Terraform 1.11 or newer" in error
    assert error.count("\n") == 1


def test_a_part_that_is_left_out_wants_no_variables(run: Run, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tree, repository='""', fly_org='""')
    for name in ("GITHUB_TOKEN", "GRAFANA_URL", "GRAFANA_AUTH", "CLOUDFLARE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert run("infra.plan", "--check")[:2] == (0, "staging: nothing to change\n")
    write(tree, hostname='"poe.example.com"')
    code, _, error = run("infra.plan")
    assert (code, error) == (3, "CLOUDFLARE_API_TOKEN is not set; docs/infrastructure.md says what for\n")


@pytest.mark.parametrize("words", [("infra.apply", "--yes"), ("monitor.setup", "--app=poe-proxy-staging", "--yes")])
@pytest.mark.parametrize(
    ("step", "sentence"),
    [("init", "nothing was changed"), ("plan", "nothing was changed"), ("apply", "goes on from there")],
)
def test_an_interrupt_is_told_by_how_far_it_was(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], step: str, sentence: str
) -> None:
    go_on = process.run

    def interrupted(argv: Sequence[str], **rest: Any) -> process.Finished:
        if step in argv:
            raise KeyboardInterrupt
        return go_on(argv, **rest)

    monkeypatch.setattr(process, "run", interrupted)
    code, _, error = run(*words)
    assert code == 130
    last = error.splitlines()[-1]
    assert last.startswith("interrupted; ")
    assert sentence in last
    assert ("nothing was changed" in last) is (step != "apply")


class Slow(Provider):
    """A provider that takes its time over the first thing it makes."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        super().__init__(schemas)
        self.at_it, self.told, self.go_on = Event(), Event(), Event()

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        self.at_it.set()
        assert self.go_on.wait(50)
        return super().ApplyResourceChange(request, context)

    def StopProvider(self, request: Any, context: Any) -> Any:
        self.told.set()  # by a Terraform that was interrupted
        return super().StopProvider(request, context)


TASK = """
import sys, pathlib
from infra import terraform
terraform.FOLDER = pathlib.Path(sys.argv.pop(1))
import tasks
from infra.program import Tasks
Tasks(name="./dev", binary="./dev", namespace=tasks.namespace).run(["./dev", *sys.argv[1:]])
"""


def test_an_apply_that_is_interrupted_finishes_what_it_is_at_and_gives_the_lock_back(
    tree: Path, state: bucket.Bucket, tmp_path: Path
) -> None:
    slow = Slow(json.loads((SCHEMAS / "grafana.json").read_text()))
    others = {address: load(SCHEMAS / f"{name}.json") for address, name in ADDRESSES.items() if name != "grafana"}
    (tmp_path / "terraform.rc").touch()
    with serving({**others, "grafana/grafana": slow}) as found:
        environ = {
            **os.environ,
            **PLANTED,
            **found,
            "TERRAFORM": str(BINARY),
            "TF_STATE_BUCKET": "state",
            "TF_CLI_CONFIG_FILE": str(tmp_path / "terraform.rc"),
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_ENDPOINT_URL_S3": state.url,
            "GRAFANA_URL": "http://127.0.0.1:9",
        }
        apply = subprocess.Popen(
            (sys.executable, "-c", TASK, str(tree.parent), "infra.apply", "--yes"),
            env=environ,
            cwd=ROOT.parents[1],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        try:
            assert slow.at_it.wait(30)
            os.killpg(apply.pid, signal.SIGINT)  # as a terminal does at Ctrl-C: to the task and to Terraform
            assert slow.told.wait(20)
            slow.go_on.set()
            _, told = apply.communicate(timeout=30)
        finally:
            apply.kill()
    assert apply.returncode == 130
    assert told.splitlines()[-1].startswith("interrupted; what Terraform had done by then is done")
    assert "staging/terraform.tfstate.tflock" not in state.objects
    held = json.loads(state.objects["staging/terraform.tfstate"])["resources"]
    assert "grafana_folder" in {each["type"] for each in held if each["mode"] == "managed"}
    assert "grafana_rule_group" not in {each["type"] for each in held}


def test_a_bucket_that_refuses_is_told_with_what_to_do(run: Run, state: bucket.Bucket) -> None:
    state.refuses = True
    code, _, told = run("infra.plan")
    assert code == 1
    assert told.splitlines()[-1].endswith("docs/infrastructure.md lists the variables")


def test_a_dry_run_starts_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, state: bucket.Bucket) -> None:
    monkeypatch.setenv("TERRAFORM", "terraform-that-is-not-there")
    code, told, _ = run("infra.apply", "--dry-run", "--yes")
    assert code == 0
    assert [line.split()[2] for line in told.splitlines()] == ["init", "plan", "apply"]
    assert not state.log


@pytest.mark.parametrize(
    ("name", "value", "words", "code", "sentence"),
    [
        ("TF_STATE_BUCKET", "", ("infra.plan",), 3, "TF_STATE_BUCKET is not set"),
        ("TERRAFORM", "nowhere/terraform", ("infra.plan",), 3, "nowhere/terraform is not there"),
        ("TERRAFORM", "/dev/null", ("infra.plan",), 3, "/dev/null is no program"),
        ("AWS_ENDPOINT_URL_S3", "", ("infra.apply",), 3, "AWS_ENDPOINT_URL_S3 is not set; docs/infrastructure.md says"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9", ("infra.plan",), 1, "no way to 127.0.0.1; is there a network"),
        ("AWS_ACCESS_KEY_ID", "", ("infra.plan",), 3, "no credentials for the state: set AWS_ACCESS_KEY_ID"),
        ("GITHUB_TOKEN", "", ("infra.plan",), 3, "GITHUB_TOKEN is not set"),
        ("GRAFANA_AUTH", "", ("infra.plan",), 3, "GRAFANA_AUTH is not set"),
        ("GRAFANA_AUTH", "", ("monitor.setup", "--app", "poe-proxy-staging"), 3, "GRAFANA_AUTH is not set"),
        ("GRAFANA_URL", "grafana.net", ("monitor.setup", "--app", "poe-proxy-staging"), 3, "GRAFANA_URL is no address"),
        ("X", "", ("monitor.setup", "--app", "another-staging"), 3, "about the app poe-proxy-staging"),
        ("X", "", ("monitor.setup", "--app", "poe-proxy"), 3, "fly_org is empty"),
        ("X", "", ("infra.plan", "--environment", "test"), 2, "--environment 'test' is neither staging nor production"),
        ("X", "", ("infra.plan", "--environment", "../staging"), 2, "is neither staging nor production"),
    ],
)
def test_what_is_missing_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: tuple[str, ...], code: int, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    ended, told, error = run(*words)
    assert (ended, told) == (code, "")
    assert sentence in error
    assert error.count("\n") == 1


@dataclass
class Grafana:
    """A Grafana that knows one data source: what it holds, and which token its Prometheus takes."""

    url: str
    source: dict[str, Any]
    secret: str = "unset"
    good: str = "FlyV1 planted-metrics-token"
    puts: int = 0


@contextmanager
def grafana() -> Iterator[Grafana]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, body: Any) -> None:
            if self.headers["Authorization"] != f"Bearer {PLANTED['GRAFANA_AUTH']}":
                status, body = 401, {}
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            if self.path.endswith("/health"):
                works = served.secret == served.good
                self._answer(200 if works else 400, {"status": "OK" if works else "ERROR"})
            elif self.path == f"/api/datasources/uid/{served.source['uid']}":
                self._answer(200, served.source)
            else:
                self._answer(404, {})

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.secret = body.pop("secureJsonData")["httpHeaderValue1"]
            served.source = body
            served.puts += 1
            self._answer(200, {})

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source = {"uid": "poe-proxy-fly-staging", "jsonData": {"httpHeaderName1": "Authorization"}, "version": 3}
    served = Grafana(f"http://127.0.0.1:{server.server_address[1]}", source)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


SETUP = ("monitor.setup", "--app", "poe-proxy-staging", "--yes", "--json")


def test_monitoring_is_set_up_alone_and_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, state: bucket.Bucket, providers: tuple[dict[str, Provider], Any]
) -> None:
    loaded = providers[0]
    configured = loaded["integrations/github"].configured
    with grafana() as served:
        monkeypatch.setenv("GRAFANA_URL", served.url)
        code, told, _ = run(*SETUP)
        assert code == 0
        answer = json.loads(told)
        assert answer["dashboard"] == f"{served.url}/d/poe-proxy-staging"
        assert {each["resource"].split(".")[3] for each in answer["changes"]} == {"monitoring[0]"}
        assert served.secret == PLANTED["FLY_METRICS_TOKEN"]
        assert served.source["jsonData"] == {"httpHeaderName1": "Authorization"}
        # Whoever wants monitoring alone needs no credentials for the rest.
        assert loaded["integrations/github"].configured == configured

        monkeypatch.delenv("FLY_METRICS_TOKEN")
        code, told, _ = run(*SETUP)
        assert (code, json.loads(told)["changes"], served.puts) == (0, [], 1)


@pytest.mark.parametrize(
    ("url", "auth", "sentence"),
    [
        ("http://127.0.0.1:9", PLANTED["GRAFANA_AUTH"], "no answer; is GRAFANA_URL right?"),
        ("", "another", "it refuses GRAFANA_AUTH"),
    ],
)
def test_a_grafana_that_cannot_be_used_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str, auth: str, sentence: str
) -> None:
    with grafana() as served:
        monkeypatch.setenv("GRAFANA_URL", url or served.url)
        monkeypatch.setenv("GRAFANA_AUTH", auth)
        code, _, told = run(*SETUP)
        assert code == 1
        assert sentence in told.splitlines()[-1]


def test_a_token_that_is_missing_or_wrong_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with grafana() as served:
        monkeypatch.setenv("GRAFANA_URL", served.url)
        monkeypatch.delenv("FLY_METRICS_TOKEN")
        monkeypatch.setattr(console, "asks", lambda: True)  # `--yes` asks nothing even where somebody sits
        code, _, told = run(*SETUP)
        assert code == 2
        assert "set FLY_METRICS_TOKEN; `flyctl tokens create readonly acme" in told
        monkeypatch.setenv("FLY_METRICS_TOKEN", "FlyV1 of-another-organisation")
        code, _, told = run(*SETUP)
        assert code == 1
        assert "Fly's Prometheus refuses this token" in told
        assert "of-another-organisation" not in told


FLYCTL = """#!{python}
import json, sys
answers = {{
    "ips list": [
        {{"ID": "1", "Address": "2001:db8::7", "Type": "v6", "Region": "global"}},
        {{"ID": "2", "Address": "203.0.113.7", "Type": "shared_v4", "Region": ""}},
        {{"ID": "3", "Address": "fdaa::3", "Type": "private_v6", "Region": ""}},
    ],
    "certs list": [{{"hostname": "poe.example.com", "status": "Awaiting configuration", "configured": False}}],
    "certs check": {{
        "hostname": "poe.example.com",
        "certificates": [],
        "dns_requirements": {{
            "a": ["203.0.113.7"], "aaaa": ["2001:db8::7"], "cname": "x.flydns.net",
            "acme_challenge": {{"name": "_acme-challenge.poe.example.com", "target": "poe.example.com.x.flydns.net"}},
            "ownership": {{"name": "_fly-ownership.poe.example.com", "app_value": "app-1234"}},
        }},
    }},
}}
assert "--app=poe-proxy-staging" in sys.argv
print(json.dumps(answers[" ".join(sys.argv[1:3])]))
"""


def test_what_fly_says_becomes_terraforms_variables(
    run: Run, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flyctl = tmp_path / "flyctl"
    flyctl.write_text(FLYCTL.format(python=sys.executable))
    flyctl.chmod(0o700)
    monkeypatch.setenv("FLYCTL", str(flyctl))
    before = (tree / "fly.json").read_bytes()
    assert run("infra.vars", "--dry-run")[0] == 0
    written = tree / "fly.json"
    assert written.read_bytes() == before

    code, told, _ = run("infra.vars")
    assert code == 0
    assert "is written" in told
    assert json.loads(written.read_text()) == {
        "ipv4": ["203.0.113.7"],
        "ipv6": ["2001:db8::7"],
        "certificates": {
            "poe.example.com": {"acme_target": "poe.example.com.x.flydns.net", "ownership_txt": "app-1234"}
        },
    }
    assert "says so already" in run("infra.vars")[1]

    zone = {"zone_name": '"example.com"', "zone_id": '"0123456789abcdef0123456789abcdef"'}
    write(tree, hostname='"poe.example.com"', **zone)
    changes = json.loads(run("infra.plan", "--json")[1])["changes"]
    records = [each["resource"] for each in changes if "cloudflare_dns_record" in each["resource"]]
    assert len(records) == 4
