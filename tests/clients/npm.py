"""Packages from npm for tests: installed once into a cache outside the repository, at the versions committed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent / "node"
OLDEST_NODE = 20
INSTALL_SECONDS = 400
RUN_SECONDS = 60
NOWHERE = "http://127.0.0.1:9"
"""A proxy that refuses: whoever wants to go further than this machine fails at once."""


@dataclass(frozen=True)
class Npm:
    """An installed set of packages, and the Node to run them with."""

    node: str
    modules: Path

    def run(
        self, argv: list[str], folder: Path, timeout: float = RUN_SECONDS, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program with a home of its own, nothing on its input, and no way to other machines."""
        home = folder / "home"
        home.mkdir(exist_ok=True)
        own = {
            "PATH": f"{Path(self.node).parent}:/usr/bin:/bin",
            "HOME": str(home),
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            **environment,
        }
        return subprocess.run(
            argv,
            cwd=folder,
            env=own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def script(self, name: str, folder: Path, **environment: str) -> dict[str, object]:
        """What one of the scripts beside package.json tells."""
        # Copied, since Node looks for packages beside the script and not where it was started.
        shutil.copy(SCRIPTS / name, folder)
        (folder / "node_modules").symlink_to(self.modules, target_is_directory=True)
        done = self.run([self.node, name], folder, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told

    def native(self, package: str) -> str:
        """The program of a package that brings one for each platform, the one for older processors first."""
        found = sorted(self.modules.glob(f"{package}-*/bin/{package}*"), key=lambda path: "baseline" not in str(path))
        assert found, f"{package} brought no program for this platform"
        return str(found[0])


def installed() -> Npm:
    """The packages, installed now if they are not yet there; skips the test where there is no Node for them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"Node {version.strip()} is older than {OLDEST_NODE}")
    wanted = (SCRIPTS / "package.json").read_bytes()
    marks = f"{platform.platform()} {platform.machine()} {version}".encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poe-proxy"
    target = cache / f"npm-{hashlib.sha256(wanted + marks).hexdigest()[:16]}"
    if not target.is_dir():
        _install(npm, wanted, cache, target)
    return Npm(node, target / "node_modules")


def _install(npm: str, wanted: bytes, cache: Path, target: Path) -> None:
    """Install beside the target and move it there when it is complete, so that half an installation is never used."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as building:
        folder = Path(building) / "new"
        folder.mkdir()
        (folder / "package.json").write_bytes(wanted)
        # No lock file, since it would record addresses; no scripts, since none is needed to run these.
        argv = [npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if not target.is_dir():
            folder.rename(target)
