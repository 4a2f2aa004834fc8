"""The Dockerfile's install commands and its CMD, carried out in a fresh directory instead of a container engine."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.ports import Port

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("dockerfile")]

SIZE_LIMIT_BYTES = 60_000_000
START_SECONDS = 20


@dataclass(frozen=True)
class Stage:
    """One FROM of the Dockerfile with the instructions under it, in order."""

    base: str
    name: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, word: str) -> list[str]:
        return [rest for kind, rest in self.instructions if kind == word]


def read_stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile whose comments stand on lines of their own."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name, ()))
        elif word:
            last = stages.pop()
            stages.append(Stage(last.base, last.name, (*last.instructions, (word, re.sub(r"\s+", " ", rest)))))
    return stages


@pytest.fixture(scope="module")
def stages(root: Path) -> tuple[Stage, Stage]:
    builder, final = read_stages((root / "Dockerfile").read_text())
    return builder, final


@dataclass(frozen=True)
class Image:
    """A directory that stands for the file system of the built image."""

    top: Path
    packages: Path
    environment: dict[str, str]
    installed_bytes: int

    def command(self, words: list[str]) -> list[str]:
        return [str(self.top / "opt/venv/bin" / words[0]), *words[1:]]


def size_of(top: Path) -> int:
    return sum(path.lstat().st_size for path in top.rglob("*") if path.is_file())


def placed(text: str, top: Path) -> str:
    """The command with the image's absolute paths moved under `top`."""
    return re.sub(r"(?<![\w.])/(opt|srv|tmp)\b", rf"{top}/\1", text)


@pytest.fixture(scope="module")
def image(root: Path, stages: tuple[Stage, Stage], tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the builder stage makes, made with this machine's Python."""
    top = tmp_path_factory.mktemp("image")
    for folder in ("srv", "tmp", "bin"):
        (top / folder).mkdir()
    # The base image's Python, which has pip; a venv stands for it, so that nothing of the developer's leaks in.
    subprocess.run([sys.executable, "-m", "venv", top / "python"], check=True)
    if not shutil.which("strip"):
        (top / "bin/strip").symlink_to(shutil.which("true") or "/bin/true")
    path = os.pathsep.join([str(top / "python/bin"), os.environ["PATH"], str(top / "bin")])
    environment = {"PATH": path, "HOME": str(top / "tmp"), "PIP_QUIET": "1"}
    installed = 0
    builder, final = stages
    for word, rest in builder.instructions:
        if word == "COPY":
            copy(root, top, rest)
        elif word == "RUN":
            for command in placed(rest, top).split(" && "):
                # Proxy and certificate settings belong to the machine that builds, not to the image.
                subprocess.run(["sh", "-euc", command], cwd=top / "srv", env=inherited() | environment, check=True)
                if " install " in command:
                    installed = size_of(top / "opt/venv/lib")
    packages = next((top / "opt/venv/lib").glob("python*/site-packages"))
    pairs = [pair.partition("=") for rest in final.all("ENV") for pair in rest.split()]
    set_by_image = {name: placed(value, top).replace("$PATH", "/usr/bin:/bin") for name, _, value in pairs}
    return Image(top, packages, set_by_image, installed)


def inherited() -> dict[str, str]:
    """What a download may need of this machine's settings, and nothing that changes what is installed."""
    return {name: value for name, value in os.environ.items() if re.search(r"(?i)proxy|cert|ca_bundle|^pip_", name)}


def copy(root: Path, top: Path, rest: str) -> None:
    *sources, target = rest.split()
    place = Path(placed(target, top)) if target.startswith("/") else top / "srv" / target
    for source in sources:
        if (root / source).is_dir():
            shutil.copytree(root / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / source, place)


@dataclass(frozen=True)
class Running:
    """The service as the image's CMD starts it."""

    process: subprocess.Popen[bytes]
    port: int
    files_before: frozenset[Path] = field(repr=False)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def wait_for_health(running: Running) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            return running.get("/health")[0]
        except OSError:
            time.sleep(0.05)
    return 0


@pytest.fixture
def running(image: Image, stages: tuple[Stage, Stage]) -> Iterator[Running]:
    _, final = stages
    with Port() as port, Port() as metrics:
        environment = image.environment | {
            "HOST": "127.0.0.1",
            "PORT": str(port.number),
            "METRICS_PORT": str(metrics.number),
            "SANDBOX": "1",
            "ACCESS_TOKENS": "image-test-token-0123456789",
        }
        before = frozenset(image.top.rglob("*"))
        words = json.loads(final.all("CMD")[0])
        process = subprocess.Popen(image.command(words), cwd=image.top / "srv", env=environment)
        try:
            yield Running(process, port.number, before)
        finally:
            process.kill()
            process.wait(timeout=10)


def test_the_installed_packages_stay_small(image: Image, record_property: Callable[[str, object], None]) -> None:
    record_property("told", f"runtime packages as installed, without pip: {image.installed_bytes / 1e6:.1f} MB")
    record_property("told", f"the same in the image, stripped and compiled: {size_of(image.packages) / 1e6:.1f} MB")
    assert 10_000_000 < image.installed_bytes < SIZE_LIMIT_BYTES


def test_only_runtime_packages_are_in_the_image(image: Image, root: Path) -> None:
    wanted = re.findall(r"^([a-z0-9][\w.-]*)==", (root / "requirements.txt").read_text(), re.MULTILINE)
    found = [path.name.partition("-")[0] for path in image.packages.glob("*.dist-info")]
    assert sorted(name.lower().replace("_", "-") for name in found) == sorted(wanted)


def test_the_final_stage_builds_nothing_and_is_not_root(stages: tuple[Stage, Stage]) -> None:
    _, final = stages
    assert "slim" in final.base
    assert not [command for command in final.all("RUN") if re.search(r"apt|pip install|compile", command)]
    assert "pip uninstall --yes pip" in final.all("RUN")[0]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final.all("USER")[-1])


def test_nothing_but_what_the_image_needs_reaches_the_builder(stages: tuple[Stage, Stage], root: Path) -> None:
    builder, _ = stages
    copied = {source for rest in builder.all("COPY") for source in rest.split()[:-1]}
    rules = (root / ".dockerignore").read_text().splitlines()
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert "*" in rules


def test_the_command_serves_and_writes_nothing(running: Running, image: Image) -> None:
    assert wait_for_health(running) == 200
    assert running.get("/health") == (200, b"OK")
    assert running.get("/openapi.yaml")[0] == 200
    assert frozenset(image.top.rglob("*")) == running.files_before


def test_the_health_check_tells_a_living_service_from_a_dead_one(
    running: Running, image: Image, stages: tuple[Stage, Stage]
) -> None:
    assert wait_for_health(running) == 200
    _, final = stages
    words = json.loads(final.all("HEALTHCHECK")[0].partition("CMD ")[2])

    def probe(port: int) -> int:
        environment = image.environment | {"PORT": str(port)}
        return subprocess.run(image.command(words), env=environment, timeout=10, stderr=subprocess.DEVNULL).returncode

    assert probe(running.port) == 0
    with Port() as silent:
        assert probe(silent.number) != 0


def test_the_command_ends_on_sigterm(running: Running) -> None:
    assert wait_for_health(running) == 200
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=10) in (0, 143)
