"""Commands of ours that a document shows are tasks that exist, with the flags that they have."""

from __future__ import annotations

from pathlib import Path

import pytest

import tasks
from infra.program import RELAYED
from tests.infra import told

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_shown_can_be_typed(document: Path) -> None:
    contexts = {name: context for context in tasks.namespace.to_contexts() for name in (context.name, *context.aliases)}
    for passage in told.passages(document.name, document.read_text("utf-8")):
        for name, *words in (command.words for command in passage.commands):
            if name in RELAYED or name == "--list" or words == ["--help"]:
                continue
            assert name in contexts, f"./dev {name}"
            flags = {flag.replace("_", "-") for flag in (*contexts[name].flags, *contexts[name].inverse_flags)}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= flags, f"./dev {name} {words}"


def test_a_command_is_found_wherever_it_stands() -> None:
    text = (
        "# Page\n\nRun `./dev deploy --yes`, exit 4 while it waits; or\n`./dev monitor --watch` until Ctrl-C.\n\n"
        "| a | `./dev logs` |\n| `./dev status`, then `./dev doctor` | ends with exit code 1 |\n\n"
        "```sh\n./dev tokens.new --name a >> f.txt\n./dev certs.check   # exit 4, or 0\n```\n\n## More\n\n"
        "Run `./dev ips`. It ends with exit code 78, or exit 3.\n\n./dev ips\n"
    )
    found = told.passages("page.md", text)
    assert [(each.line, each.heading) for each in found] == [
        *((line, "Page") for line in (1, 3, 6, 7, 10)),
        *((line, "More") for line in (14, 16, 18)),
    ]
    assert [[(*command.words, command.code) for command in each.commands] for each in found if each.commands] == [
        [("deploy", "--yes", 4), ("monitor", "--watch", 130)],
        [("logs", 0)],
        [("status", 0), ("doctor", 1)],
        [("tokens.new", "--name", "a", 0), ("certs.check", 4)],
        [("ips", 0)],
    ]
    assert found[4].commands[0].appends_to == "f.txt"
    assert [told.hidden(each) for each in found[-2:]] == [[], ["./dev ips"]]
