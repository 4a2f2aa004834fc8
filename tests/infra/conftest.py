"""The desk that tasks are run at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import process, smoke, waiting
from infra.session import Session
from tests.infra import fake_flyctl, flying, shell
from tests.infra.flying import Desk


@pytest.fixture(autouse=True)
def helps() -> Iterator[None]:
    """Every test finds the tasks' help as if it were the first to read it."""
    with flying.helps_kept():
        yield


@pytest.fixture
def desk(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    """A folder with our fly.toml, an account at Fly without apps, Poe keys that work."""
    folder, home, state = tmp_path / "desk", tmp_path / "home", tmp_path / "platform.json"
    folder.mkdir()
    home.mkdir()
    (folder / "fly.toml").write_text(flying.config_of_tests(root))
    fake_flyctl.save(state, fake_flyctl.new_state())
    with flying.answering(state) as url:
        for name in list(os.environ):
            if name.startswith(("FLY", "GH_", "GITHUB", "SMOKE", "CI")):
                monkeypatch.delenv(name)
        for name, value in flying.environment(url, home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        made = Desk(folder, state, url, monkeypatch, capsys)
        monkeypatch.setattr(process, "run", made.start)
        # Fly's proxy is on a loopback port, and time is short.
        monkeypatch.setattr(Session, "url", property(lambda session: flying.url_of(session.app, url)))
        monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.0)
        monkeypatch.setattr(waiting, "until", lambda ask, good, seconds: ask())
        yield made


@pytest.fixture(name="shell")
def _shell(tmp_path: Path, root: Path) -> Iterator[shell.Shell]:
    """Tasks as processes."""
    with shell.opened(tmp_path, root) as made:
        yield made
