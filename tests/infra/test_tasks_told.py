"""Commands of ours that a document shows are tasks that exist, with the flags that they have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import tasks

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
COMMAND = re.compile(r"\./dev ((?:--)?[a-z][^`|\n]*)")
RELAYED = {"bench"}
"""Whose words are another program's."""


def told(document: Path) -> list[list[str]]:
    """The words behind `./dev`, of each code span and each line of a code block."""
    text = document.read_text()
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for line in block.split("\n")
    ]
    found = [match[1] for piece in (*spans, *lines) for match in COMMAND.finditer(piece)]
    return [shlex.split(re.split(r"\s[#(&>]", each)[0], comments=True) for each in found]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_shown_can_be_typed(document: Path) -> None:
    contexts = {name: context for context in tasks.namespace.to_contexts() for name in (context.name, *context.aliases)}
    for name, *words in told(document):
        if name in RELAYED or name == "--list" or words == ["--help"]:
            continue
        assert name in contexts, f"./dev {name}"
        flags = {flag.replace("_", "-") for flag in contexts[name].flags}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= flags, f"./dev {name} {words}"


def test_a_command_is_found_wherever_it_stands(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("Run `./dev deploy --yes`.\n\n```sh\n./dev logs   # all of them\n```\n")
    assert told(document) == [["deploy", "--yes"], ["logs"]]
