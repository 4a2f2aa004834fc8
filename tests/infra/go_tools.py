"""Programs built from pinned Go modules (tools/NAME/), once, into a cache outside the tree."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).with_name("tools")
FETCH_SECONDS = 300
BUILD_SECONDS = 800

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no Go")


def built(module: str, package: str) -> Path:
    """The program that `package` of tools/`module` is; skips the test where its modules cannot be fetched."""
    source = FOLDER / module
    pinned = b"".join((source / name).read_bytes() for name in ("go.mod", "go.sum"))
    key = hashlib.sha256(pinned + platform.platform().encode()).hexdigest()[:16]
    program = _cache() / f"{module}-{key}" / module
    if not program.is_file():
        _build(source, package, program)
    return program


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "poe-proxy" / "tools"


def _build(source: Path, package: str, program: Path) -> None:
    fetched = _go(source, "mod", "download", seconds=FETCH_SECONDS)
    if fetched.returncode:
        pytest.skip(f"the modules of {source.name} cannot be fetched: {fetched.stderr.strip()[-200:]}")
    program.parent.mkdir(parents=True, exist_ok=True)
    # Under another name until it is whole, so that a build that was cut off is not found as a program.
    part = program.with_suffix(f".{os.getpid()}")
    lean = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w")
    done = _go(source, "build", *lean, "-o", str(part), package, seconds=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr
    part.replace(program)


def _go(source: Path, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "GOFLAGS": "", "GOWORK": "off"}
    return subprocess.run(
        ("go", *arguments), cwd=source, env=environ, capture_output=True, text=True, timeout=seconds, check=False
    )
