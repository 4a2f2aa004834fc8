"""docs/fly.md and its Chinese twin: every command of ours in them is run, one after the other, as a reader would."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.infra.flying import ALICE, APP, BOB, NEXT_TOKEN, Desk

PAGES = ("docs/fly.md", "docs/fly.zh-CN.md")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    return [line for block in blocks(page) for line in block.splitlines() if line.startswith("./dev ")]


def test_both_pages_show_the_same_and_are_built_alike(root: Path) -> None:
    first, second = (root / page for page in PAGES)
    assert blocks(first) == blocks(second)
    headings = [re.findall(r"^#+(?= )", page.read_text(), re.MULTILINE) for page in (first, second)]
    assert headings[0] == headings[1]
    spans = [
        [set(re.findall(r"`[^`]+`", line)) for line in page.read_text().splitlines() if line.startswith("|")]
        for page in (first, second)
    ]
    assert spans[0] == spans[1]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_followed(desk: Desk, root: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: Any, question: str, **__: Any) -> str:
        return ALICE if "keys" in question else APP if "Type its name" in question else "y"

    monkeypatch.setattr("infra.console.Console.ask", answer)
    monkeypatch.setattr("infra.credentials.asks", lambda: True)
    (desk.folder / "keys.txt").write_text(f"{ALICE}\n{BOB}\n")
    shown = commands(root / page)
    assert len(shown) >= 15
    for line in shown:
        name, *words = shlex.split(line)[1:]
        if ">>" in words:
            # A file with a token in it, as the shell would make it; the desk looks for leaks everywhere else.
            words = words[: words.index(">>")]
            (desk.folder / "tokens.txt").write_text(f"team:{NEXT_TOKEN}\n")
        secret_files = [desk.folder / each for each in ("keys.txt", "tokens.txt")]
        kept = {path: path.read_text() for path in secret_files if path.exists()}
        monkeypatch.setattr(Desk, "look_for_leaks", lambda *_: None)
        ended = desk.run(name, *words)
        assert ended.code == 0, f"{line}: {ended.err}"
        assert {path: path.read_text() for path in kept} == kept
    assert desk.state["apps"] == {}


@pytest.mark.parametrize("page", PAGES)
def test_the_figures_are_true(root: Path, page: str) -> None:
    from infra import deploy_token, doctor
    from service.settings import Settings

    text = (root / page).read_text()
    assert ".".join(map(str, doctor.OLDEST_FLYCTL)) in text
    assert f"{Settings().drain_timeout:g}" in text
    assert int(deploy_token.LIFE.removesuffix("h")) / 24 == 90
    assert "90" in text
    assert doctor.TOKEN_WARNING_DAYS == 14
