"""A desk to run tasks at: a folder, a stand-in of flyctl and of gh, and an app that answers as Fly's proxy would.

Every run is a leak test as well: no planted secret may be in an argument list, in the environment of a child that has
no business with it, in either output, or in a file other than `.poe-proxy/`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import tasks
from infra import fly_toml
from infra.process import Finished
from infra.program import Tasks
from infra.task import ExitCode
from service import cli
from service.version import VERSION
from tests.infra import fake_flyctl

APP = "gateway-of-tests"
ALICE, BOB, CAROL = "pk-alice-Zq3vT8pLw5Xk", "pk-bob-2Nf7Rb9Yc4Hd6J", "pk-carol-g1Ms0AxW8eQ2"
KEYS = f"alice:{ALICE},bob:{BOB}"
TOKEN, NEXT_TOKEN = "tok-7f3a9c2e5b8d1046aa", "tok-0b1c2d3e4f5a6b7c88"
FLY_TOKEN, GH_TOKEN = "fly-token-of-the-tests", "gh-token-of-the-tests"
SECRETS = (ALICE, BOB, CAROL, TOKEN, NEXT_TOKEN, FLY_TOKEN, GH_TOKEN)
OWN = {FLY_TOKEN: "flyctl", GH_TOKEN: "gh"}
"""Which program may have which secret in its environment."""
AFTER_TERRAFORM: Mapping[str, Any] = {
    "login": True,
    "environments": {"production": dict.fromkeys(("POE_API_KEYS", "ACCESS_TOKENS", "FLY_API_TOKEN"), "unset")},
}
"""GitHub where Terraform made the secrets, so that their names are there and their values are not."""
CHOSEN: Sequence[tuple[str, str, object]] = (
    ("", "app", APP),
    ("", "primary_region", "nrt"),
    ("vm", "size", "shared-cpu-1x"),
    ("vm", "memory", "256mb"),
    ("http_service", "auto_stop_machines", "off"),
    ("http_service", "auto_start_machines", False),
    ("http_service", "min_machines_running", None),
    ("http_service.concurrency", "soft_limit", 200),
    ("http_service.concurrency", "hard_limit", 1000),
)
KEY_STATES = {"dead_keys": "revoked", "dry_keys": "dry", "limited_keys": "limited"}
"""Where the platform's state lists keys in trouble → how a machine calls it."""
WRITES = ("create", "import", "deploy", "count", "vm", "allocate", "add", "remove", "revoke", "destroy", "unset", "set")


def config_of_tests(root: Path) -> str:
    """Our fly.toml, but for what `setup` and `scale` write there and whoever runs a gateway commits."""
    text = (root / "fly.toml").read_text()
    for table, key, value in CHOSEN:
        text = fly_toml.edited(text, table, key, value)
    return text


class Killed(BaseException):
    """The task's process is no more: nothing of it runs any further, but what `with` and `finally` do in a test."""


@dataclass
class Ended:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The last line of standard error."""
        return self.err.strip().rpartition("\n")[2]


@dataclass
class Child:
    """A program that was started."""

    argv: list[str]
    environ: Mapping[str, str]
    stdin: bytes


@dataclass
class Desk:
    """Everything that a test touches."""

    folder: Path
    state_file: Path
    url: str
    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    children: list[Child] = field(default_factory=list)
    gh: dict[str, Any] = field(default_factory=dict)
    kill_at: int = 0
    given: set[Path] = field(default_factory=set)
    """Files in the folder that their owner wrote secrets into."""

    @property
    def state(self) -> dict[str, Any]:
        return fake_flyctl.load(self.state_file)

    def change(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change the platform behind everybody's back."""
        state = self.state
        change(state)
        fake_flyctl.save(self.state_file, state)

    def fault(self, command: str, how: str, nth: int = 1) -> None:
        """Let the nth call of a command fail from now on."""
        self.change(lambda state: state["faults"].append({"command": command, "how": how, "nth": nth}))

    @property
    def app(self) -> dict[str, Any]:
        found: dict[str, Any] = self.state["apps"][APP]
        return found

    def calls(self, *words: str) -> list[str]:
        """The calls of flyctl whose command begins so, as lines."""
        lines = [" ".join(argv) for argv in self.state["calls"]]
        return [line for line in lines if line.startswith(" ".join(words))]

    def writes(self) -> list[str]:
        """The calls of both programs that change something."""
        lines = [" ".join(child.argv[1:]) for child in self.children if child.argv[1:2] != ["-m"]]
        return [line for line in lines if is_write(line)]

    def forget(self) -> None:
        """Forget what was called."""
        self.children.clear()
        self.change(lambda state: state.update(calls=[]))

    def write(self, name: str, text: str) -> str:
        """A file with secrets in it, at its place outside the folder."""
        path = self.folder.parent / name
        path.write_text(text)
        return str(path)

    def give(self, name: str, text: str) -> None:
        """A file with secrets in it, inside the folder, as the documents tell to write it."""
        path = self.folder / name
        path.write_text(text)
        self.given.add(path)

    def run(self, *words: str, **environ: str) -> Ended:
        """Run a task as `./dev` would, with these variables on top."""
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)
        program = Tasks(name="./dev", binary="./dev", namespace=tasks.namespace)
        self.capture.readouterr()
        try:
            with helps_kept():
                program.run(["./dev", *words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            for name in environ:
                self.monkeypatch.delenv(name)
        out, err = self.capture.readouterr()
        self.look_for_leaks(out, err)
        assert "Traceback" not in err
        return Ended(code, out, err)

    def look_for_leaks(self, out: str, err: str) -> None:
        for secret in (*SECRETS, *self._made()):
            for child in self.children:
                assert secret not in " ".join(child.argv), child.argv
                if OWN.get(secret) != Path(child.argv[0]).name:
                    assert secret not in " ".join(child.environ.values()), child.argv
            assert secret not in err
            if secret not in self._shown():
                assert secret not in out
            for path in self.folder.rglob("*"):
                if path.is_file() and ".poe-proxy" not in path.parts and path not in self.given:
                    assert secret not in path.read_text(errors="replace"), path

    def _made(self) -> list[str]:
        """What the platform made itself: deploy tokens."""
        return [each["value"] for app in self.state["apps"].values() for each in app["tokens"]]

    def _shown(self) -> set[str]:
        """The one token that its owner is meant to see."""
        kept = self.folder / ".poe-proxy" / f"{APP}.access-token"
        return {kept.read_text().strip().partition(":")[2]} if kept.is_file() else set()

    # The programs

    def start(self, argv: Sequence[str], *, environ: Mapping[str, str], stdin: bytes = b"", **more: Any) -> Finished:
        """Instead of `process.run`."""
        self.children.append(Child(list(argv), dict(environ), stdin))
        try:
            finished = self._start(argv, environ, stdin)
        finally:
            if self.kill_at and len(self._changing()) == self.kill_at:
                raise Killed
        hear = more.get("hear")
        for line in (finished.stdout + finished.stderr).splitlines() if hear else []:
            hear(line)
        return finished

    def _changing(self) -> list[Child]:
        return [child for child in self.children if child.argv[1:2] != ["-m"]]

    def _start(self, argv: Sequence[str], environ: Mapping[str, str], stdin: bytes) -> Finished:
        name = Path(argv[0]).name
        if name == "flyctl":
            return Finished(*fake_flyctl.run(argv[1:], stdin, environ, self.state_file))
        if name == "gh":
            return self._gh(list(argv[1:]), stdin)
        assert list(argv[:3]) == [sys.executable, "-m", "service"]
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
                code = cli.main(argv[3:])
        return Finished(code, out.getvalue(), err.getvalue())

    def _gh(self, words: list[str], stdin: bytes) -> Finished:
        if not self.gh:
            raise FileNotFoundError("gh")
        if words[:2] == ["auth", "status"]:
            return Finished(0 if self.gh["login"] else 1, "", "You are not logged into any GitHub hosts.")
        if words[:2] == ["repo", "view"]:
            return Finished(0, '{"nameWithOwner": "somebody/poe-proxy"}')
        environment = next((word.partition("=")[2] for word in words if word.startswith("--env=")), "")
        if words[0] == "api":
            return self._gh_environment(words)
        if words[:2] == ["secret", "list"]:
            return self._gh_names(environment)
        if words[0] == "variable":
            return self._gh_variable(environment, words)
        assert words[:2] == ["secret", "set"], words
        if self.gh.get("refuses"):
            return Finished(1, "", "HTTP 403: Forbidden")
        return self._gh_set(environment, words[2], stdin.decode())

    def _gh_names(self, environment: str) -> Finished:
        if self.gh.get("trouble"):
            return Finished(1, "", "HTTP 500: Internal Server Error")
        if environment not in self.gh["environments"]:
            return Finished(1, "", "HTTP 404: Not Found")
        return Finished(0, json.dumps([{"name": name} for name in self.gh["environments"][environment]]))

    def _gh_variable(self, environment: str, words: list[str]) -> Finished:
        if environment not in self.gh["environments"]:
            return Finished(1, "", "HTTP 404: Not Found")
        held = self.gh.setdefault("variables", {}).setdefault(environment, {})
        if words[1] == "list":
            return Finished(0, json.dumps([{"name": name, "value": value} for name, value in held.items()]))
        held[words[2]] = words[-1].removeprefix("--body=")
        return Finished(0)

    def _gh_set(self, environment: str, name: str, value: str) -> Finished:
        if environment not in self.gh["environments"]:
            return Finished(1, "", "HTTP 404: Not Found")
        self.gh["environments"][environment][name] = value
        return Finished(0)

    def _gh_environment(self, words: list[str]) -> Finished:
        if self.gh.get("hides"):
            return Finished(1, "", "HTTP 500: Internal Server Error")
        environments, name = self.gh["environments"], words[-1].rpartition("/")[2]
        if "--method=PUT" in words:
            environments[name] = {}
        rules = [{"type": "required_reviewers"}] if self.gh.get("reviewers") else []
        told = json.dumps({"name": name, "protection_rules": rules})
        return Finished(0, told) if name in environments else Finished(1, "", "HTTP 404: Not Found")


@contextmanager
def helps_kept() -> Iterator[None]:
    """invoke uses up a task's help as it reads it: put it back for whoever reads it next."""
    listed = [tasks.namespace[name] for name in tasks.namespace.task_names]
    helps = [dict(each.help) for each in listed]
    try:
        yield
    finally:
        for each, kept in zip(listed, helps, strict=True):
            each.help = kept


def is_write(line: str) -> bool:
    """Whether a call of flyctl or gh changes something."""
    words = line.split()
    return any(word.partition("-")[0] in WRITES for word in words[:3]) or "--method=PUT" in words


@contextmanager
def answering(state_file: Path) -> Iterator[str]:
    """The app behind Fly's proxy, Poe, and Fly's Prometheus, on one loopback port: its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(fake_flyctl.load(state_file), self.path, self.headers)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def answer(state: Mapping[str, Any], path: str, headers: Any) -> tuple[int, Any]:
    """Status and body."""
    token = (headers.get("Authorization") or "").removeprefix("Bearer ")
    if path.startswith("/usage/"):
        alive = token in (ALICE, BOB, CAROL) and token not in state.get("dead_keys", ())
        return (200, {"current_point_balance": 100}) if alive else (401, {})
    if path.startswith("/prometheus/"):
        good = state.get("prometheus", True) and token == FLY_TOKEN
        series = {"metric": {"outcome": "ok", "key": "alice", "state": "usable", "result": "ok"}, "value": [0, "42"]}
        return (200, {"status": "success", "data": {"result": [series]}}) if good else (401, b"no")
    only = APP if APP in state["apps"] else next(iter(state["apps"]), APP)
    app, path = (path.split("/")[2], f"/{path.split('/', 3)[3]}") if path.startswith("/of/") else (only, path)
    machines = state["apps"].get(app, {}).get("machines", [])
    wanted = headers.get("Fly-Force-Instance-Id")
    machine = next((each for each in machines if wanted in (None, each["id"])), None)
    if machine is None:
        return 502, b"no machine"
    return of_machine(state, machine, path, token)


def of_machine(state: Mapping[str, Any], machine: Mapping[str, Any], path: str, token: str) -> tuple[int, Any]:
    """What the service on a machine says."""
    secrets = machine["secrets"]
    if path == "/health":
        return 200, b"OK"
    if path == "/ready":
        keys = [each for each in secrets.get("POE_API_KEYS", "").split(",") if each]
        told = {"status": "ready", "version": VERSION, "image": machine["image"], "machine": machine["id"]}
        told |= {"keys": Counter(_key_state(state, each) for each in keys)}
        for of in (machine["image"], machine["id"]):
            told |= state.get("ready", {}).get(of, {})
        return int(told.pop("http", 200)), told
    known = [each.partition(":")[2].partition("@")[0] for each in secrets.get("ACCESS_TOKENS", "").split(",")]
    digest = f"sha256-{sha256(token.encode()).hexdigest()}"
    return (200, {"data": []}) if token and {token, digest} & set(known) else (401, {})


def _key_state(state: Mapping[str, Any], key: str) -> str:
    """How a machine has found a Poe key, `NAME:VALUE` or bare."""
    value = key.rpartition(":")[2]
    return next((word for name, word in KEY_STATES.items() if value in state.get(name, ())), "usable")


def url_of(app: str, desk_url: str) -> str:
    """Where an app is reached; the one of most tests without a prefix."""
    return desk_url if app == APP else f"{desk_url}/of/{app}"


def environment(desk_url: str, home: Path) -> dict[str, str]:
    """What stands in the shell that runs the tasks."""
    return {
        "HOME": str(home),
        "FLYCTL": "flyctl",
        "FLY_API_TOKEN": FLY_TOKEN,
        "GH_TOKEN": GH_TOKEN,
        "FLY_API_BASE_URL": desk_url,
        "POE_BASE_URL": desk_url,
        "NO_PROXY": "127.0.0.1",
        "PATH": os.environ["PATH"],
    }


__all__ = ["ALICE", "APP", "BOB", "CAROL", "KEYS", "NEXT_TOKEN", "TOKEN", "Desk", "Ended", "ExitCode", "Killed"]
