"""docs/fly.md and its Chinese twin: built alike, with the code's figures. test_documents_followed runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = ("docs/fly.md", "docs/fly.zh-CN.md")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


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
def test_the_figures_are_true(root: Path, page: str) -> None:
    from infra import deploy_token, doctor, fly
    from service.settings import Settings

    text = (root / page).read_text()
    assert ".".join(map(str, fly.OLDEST)) in text
    assert f"{Settings().drain_timeout:g}" in text
    assert int(deploy_token.LIFE.removesuffix("h")) / 24 == 90
    assert "90" in text
    assert doctor.TOKEN_WARNING_DAYS == 14
