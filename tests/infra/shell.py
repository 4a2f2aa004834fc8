"""Tasks as somebody's shell would run them: processes, with programs in their path, and a terminal where it matters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra import fake_flyctl, flying
from tests.infra.flying import SECRETS
from tests.infra.terminal import Seen, watched

TASK = """
    import os, runpy, sys
    os.chdir({folder!r})
    sys.argv = ["./dev", *{words!r}]
    runpy.run_module("infra.program", run_name="__main__")
"""


@dataclass
class Shell:
    """A folder and an environment to run tasks in."""

    root: Path
    folder: Path
    state_file: Path
    environ: dict[str, str]

    @property
    def state(self) -> dict[str, Any]:
        return fake_flyctl.load(self.state_file)

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.program", *words],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **environ: str) -> tuple[int, str, str]:
        with self.start(*words, **environ) as running:
            out, err = running.communicate(timeout=50)
        for secret in SECRETS:
            assert secret not in out + err
        return running.returncode, out, err

    def typed(self, *words: str, answers: Sequence[tuple[str, str]], **environ: str) -> Seen:
        """Run a task on a terminal; `answers` are pairs of a question's end and what is typed then."""
        code = TASK.format(folder=str(self.folder), words=list(words))
        return watched(self.root, code, answers, {**self.environ, **environ})

    def files(self) -> dict[str, str]:
        """What is in the folder, but for the lock and the interpreter's own."""
        return {
            str(path.relative_to(self.folder)): path.read_text()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix not in (".lock", ".pyc") and path.name != ".gitignore"
        }


@contextmanager
def opened(place: Path, root: Path) -> Iterator[Shell]:
    """A shell in a folder with our fly.toml, and an account at Fly without apps."""
    folder, home, programs, state = (place / name for name in ("desk", "home", "bin", "platform.json"))
    for each in (folder, home, programs):
        each.mkdir()
    (folder / "fly.toml").write_text(flying.config_of_tests(root))
    fake_flyctl.save(state, fake_flyctl.new_state())
    flyctl = programs / "flyctl"
    fake = root / "tests" / "infra" / "fake_flyctl.py"
    flyctl.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{fake}' '{state}' \"$@\"\n")
    flyctl.chmod(0o755)
    with flying.answering(state) as url:
        environ = {
            **flying.environment(url, home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "SMOKE_URL": url,
            "LOG_LEVEL": "debug",
        }
        yield Shell(root, folder, state, environ)
