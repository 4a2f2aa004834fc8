"""The real flyctl, built from its module, against a stand-in of Fly's APIs: the whole story, on loopback."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from infra.fly import COMMANDS
from service.version import VERSION
from tests.infra import fly_api
from tests.infra.fly_api import Fault, Platform
from tests.infra.flying import ALICE, APP, BOB, FLY_TOKEN, KEYS, NEXT_TOKEN, SECRETS, TOKEN, config_of_tests
from tests.infra.go_tools import built, needs_go
from tests.infra.surface import surface

pytestmark = [pytest.mark.long, needs_go]
IMAGES = [f"registry.fly.io/{APP}:{label}" for label in ("one", "two", "bad")]


@dataclass
class Desk:
    """A folder with our fly.toml, and an environment in which flyctl finds nothing but the stand-in."""

    folder: Path
    platform: Platform
    environ: dict[str, str]

    def run(self, *words: str, **environ: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "infra.program", *words],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        for secret in (*SECRETS, *(token["token"] for app in self.platform.apps.values() for token in app["tokens"])):
            assert secret not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    @property
    def app(self) -> dict[str, Any]:
        return self.platform.apps[APP]

    def running(self, name: str) -> set[str]:
        return {machine["secrets"].get(name, "") for machine in self.app["machines"]}

    def images(self) -> set[str]:
        return {machine["config"]["image"].partition("@")[0] for machine in self.app["machines"]}


@pytest.fixture
def desk(tmp_path: Path, root: Path) -> Iterator[Desk]:
    flyctl = built("flyctl", "github.com/superfly/flyctl")
    folder, home, temporary = tmp_path / "desk", tmp_path / "home", tmp_path / "tmp"
    for each in (folder, home, temporary):
        each.mkdir()
    (folder / "fly.toml").write_text(config_of_tests(root))
    platform = Platform(images=set(IMAGES), sick={IMAGES[2]})
    with fly_api.serving(platform, lambda path, headers: beside(platform, path, headers)) as url:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(root),
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "FLYCTL": str(flyctl),
            "FLY_API_TOKEN": FLY_TOKEN,
            "FLY_API_BASE_URL": url,
            "FLY_FLAPS_BASE_URL": url,
            "FLY_UIEX_BASE_URL": url,
            "POE_BASE_URL": url,
            "SMOKE_URL": url,
            # Whatever wants to leave this machine asks the stand-in; Go sends loopback past the proxy.
            "HTTPS_PROXY": url,
            "HTTP_PROXY": url,
            "NO_PROXY": "127.0.0.1,localhost",
            # Both would make flyctl print bodies, secrets included.
            "LOG_LEVEL": "debug",
            "DEBUG": "1",
        }
        yield Desk(folder, platform, environ)
        leaks = [
            path for path in tmp_path.rglob("*") if path.is_file() and ".poe-proxy" not in path.parts and leaky(path)
        ]
        assert leaks == []
        assert list(temporary.iterdir()) == []
    # Feature flags, asked for while deploying; nobody minds that there is no answer.
    assert platform.elsewhere <= {"clientsdk.launchdarkly.com:443"}


def leaky(path: Path) -> bool:
    return any(secret.encode() in path.read_bytes() for secret in (ALICE, BOB, TOKEN, NEXT_TOKEN))


def beside(platform: Platform, path: str, headers: Any) -> tuple[int, Any] | None:
    """The app itself, and Poe."""
    token = (headers.get("Authorization") or "").removeprefix("Bearer ")
    if path == "/usage/current_balance":
        return (200, {"current_point_balance": 7}) if token in SECRETS else (401, {})
    if path not in ("/ready", "/health", "/v1/models"):
        return None
    machines = platform.apps.get(APP, {}).get("machines", [])
    if not machines:
        return 502, {}
    secrets = machines[0]["secrets"]
    if path == "/v1/models":
        known = [each.partition(":")[2].partition("@")[0] for each in secrets.get("ACCESS_TOKENS", "").split(",")]
        return (
            (200, {}) if token and {token, f"sha256-{sha256(token.encode()).hexdigest()}"} & set(known) else (401, {})
        )
    keys = len(secrets.get("POE_API_KEYS", "").split(","))
    return 200, {"status": "ready", "version": VERSION, "image": "x", "machine": "y", "keys": {"usable": keys}}


@pytest.mark.timeout(900)
def test_the_whole_story(desk: Desk) -> None:
    setup = ("setup", "--yes", "--image", IMAGES[0], "--host", "api.example.com")
    code, out, err = desk.run(*setup, POE_API_KEYS=KEYS, ACCESS_TOKENS=f"team:{TOKEN}")
    assert code == 0, err
    assert "Base URL" in out
    assert desk.running("POE_API_KEYS") == {KEYS}
    assert len(desk.app["machines"]) == 1
    assert len(desk.app["ips"]) == 2
    before = len(desk.platform.requests)
    assert desk.run(*setup, POE_API_KEYS=KEYS, ACCESS_TOKENS=f"team:{TOKEN}")[0] == 0
    again = [line for line in desk.platform.requests[before:] if not line.startswith("GET") and "graphql" not in line]
    assert again in ([], [f"POST /v1/apps/{APP}/certificates/api.example.com/check"])
    assert len(desk.app["tokens"]) == 1

    for words, expected in (
        (["status"], 0),
        (["scale.regions", "--regions", "nrt,sin", "--yes"], 0),
        (["scale.count", "--machines", "3"], 0),
        (["scale.regions", "--regions", "sin", "--yes"], 0),
        (["scale.count", "--machines", "1", "--yes"], 0),
        (["scale.vm", "--size", "shared-cpu-1x", "--memory", "512", "--yes"], 0),
        (["deploy", "--image", IMAGES[1]], 0),
        (["releases"], 0),
        (["ips"], 0),
        (["secrets.list"], 0),
        (["secrets.check"], 0),
        (["certs"], 0),
        (["certs.check"], 4),
        (["certs.remove", "--host", "api.example.com", "--yes"], 0),
        (["logs"], 0),
    ):
        code, out, err = desk.run(*words)
        assert code == expected, f"{words}: {out}\n{err}"
    assert desk.images() == {IMAGES[1]}
    assert {machine["region"] for machine in desk.app["machines"]} == {"sin"}

    code, _, err = desk.run("rollback", "--yes")
    assert code == 0, err
    assert desk.images() == {IMAGES[0]}

    code, _, err = desk.run("secrets", "--yes", "--grace", "1h", ACCESS_TOKENS=f"team:{NEXT_TOKEN}")
    assert code == 0, err
    (tokens,) = desk.running("ACCESS_TOKENS")
    assert tokens.startswith(f"team:{NEXT_TOKEN},team:sha256-")

    code, out, err = desk.run("doctor")
    assert code == 0, out + err
    code, _, err = desk.run("destroy", "--yes", "--app", APP)
    assert code == 0, err
    assert desk.platform.apps == {}


@pytest.mark.timeout(900)
def test_a_bad_deployment_goes_back(desk: Desk) -> None:
    assert desk.run("setup", "--yes", "--no-github", "--image", IMAGES[0], POE_API_KEYS=KEYS)[0] == 0
    file = desk.folder / "fly.toml"
    # flyctl waits this long for each machine to become healthy; the service's own limits want more.
    file.write_text(file.read_text().replace('wait_timeout = "10m"', 'wait_timeout = "310s"'))
    code, _, err = desk.run("deploy", "--image", IMAGES[2], "--strategy", "immediate")
    assert code == 1
    assert f"v1 serves again ({IMAGES[0]}" in err
    assert desk.images() == {IMAGES[0]}
    code, _, err = desk.run("deploy", "--image", "registry.fly.io/nobody:knows")
    assert code == 1
    assert "could not find image" in err
    assert desk.images() == {IMAGES[0]}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["500", "429", "lost", "slow"])
def test_a_setup_that_met_a_fault_is_finished_by_the_next(desk: Desk, how: str) -> None:
    for pattern in ("POST /v1/apps$", "POST .*/secrets", "POST .*/machines$", "createLimitedAccessToken"):
        desk.platform.faults.append(Fault(pattern, how))
        desk.run("setup", "--yes", "--image", IMAGES[0], POE_API_KEYS=KEYS)
    code, _, err = desk.run("setup", "--yes", "--image", IMAGES[0], POE_API_KEYS=KEYS)
    assert code == 0, err
    assert desk.running("POE_API_KEYS") == {KEYS}
    assert len([token for token in desk.app["tokens"] if not token["revokedAt"]]) == 1
    assert desk.images() == {IMAGES[0]}


def test_the_surface_is_that_of_the_program(desk: Desk) -> None:
    """The data that the fast tests hold every argument list against."""
    for name in COMMANDS:
        shown = subprocess.run(
            [desk.environ["FLYCTL"], *name.split(), "--help"],
            env=desk.environ, cwd=desk.folder, check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip
        flags = set(re.findall(r"^\s+(?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)) - surface()["global"].keys()
        assert f"flyctl {name}" in shown
        assert flags <= surface()["commands"][name]["flags"].keys(), name


def test_flyctl_keeps_no_log_where_ours_is_put(desk: Desk, tmp_path: Path) -> None:
    """The hole is there without us, so that the test of the whole story means something."""
    own = tmp_path / "own"
    own.mkdir()
    assert desk.run("setup", "--yes", "--no-github", "--image", IMAGES[0], POE_API_KEYS=KEYS)[0] == 0
    subprocess.run(
        [desk.environ["FLYCTL"], "secrets", "import", "--stage", "-a", APP],
        env={**desk.environ, "FLY_CONFIG_DIR": str(own)},
        cwd=desk.folder,
        input=b'A="planted-value"\n',
        check=True,
        capture_output=True,
        timeout=60,
    )
    (log,) = (own / "logs").glob("*.log")
    assert "planted-value" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) & 0o004
    log.unlink()
