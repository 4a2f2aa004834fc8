"""The commands that a document tells its reader to type, wherever they stand, with the exit code that it promises."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMAND = re.compile(r"(?:\./dev|\binvoke) ((?:--)?[a-z][^`|\n]*)")
SPAN = re.compile(r"`([^`\n]+)`")
PROMISE = re.compile(r"\bexits?(?: code)? (\d)\b|退出码 (\d)\b|(Ctrl-C)")
SENTENCE_END = re.compile(r"[.;]\s|[。；]|$")
INTERRUPTED = 130


@dataclass(frozen=True)
class Told:
    """A command: the words behind `./dev`, the file that its output is appended to, and the promised exit code."""

    words: tuple[str, ...]
    code: int = 0
    appends_to: str = ""

    @property
    def task(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True)
class Passage:
    """A paragraph, a row of a table or a code block: what a reader does at one place, in that order."""

    page: str
    line: int
    heading: str
    text: str
    is_code: bool

    @property
    def commands(self) -> tuple[Told, ...]:
        return tuple(_in_code(self.text) if self.is_code else _in_prose(self.text))

    def __str__(self) -> str:
        return f"{Path(self.page).name}:{self.line}"


def passages(page: str, text: str) -> list[Passage]:
    """All of a document, in its order."""
    found: list[Passage] = []
    heading, fenced, begin, lines = "", False, 0, list[str]()

    def close(*, is_code: bool = False) -> None:
        if lines:
            found.append(Passage(page, begin, heading, "\n".join(lines), is_code))
            lines.clear()

    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            close(is_code=fenced)
            fenced = not fenced
            continue
        alone = line.startswith("|") or re.match(r"#+ ", line)
        if not fenced and (alone or not line.strip()):
            close()
        if not fenced and re.match(r"#+ ", line):
            heading = line.lstrip("# ")
        if fenced or line.strip():
            begin = begin if lines else number
            lines.append(line)
        if not fenced and alone:
            close()
    close()
    return found


def hidden(passage: Passage) -> list[str]:
    """Commands in prose outside a code span, where nobody would find and run them."""
    return [] if passage.is_code else [match[0] for match in COMMAND.finditer(SPAN.sub("", passage.text))]


def told(words: str, promised: str = "") -> Told:
    """A command as it is written, and what is said about its exit code behind it."""
    found = PROMISE.search(promised)
    code = 0 if not found else INTERRUPTED if found[3] else int(found[1] or found[2])
    parts = shlex.split(re.split(r"\s[#(&]", words)[0], comments=True)
    target = parts[parts.index(">>") + 1] if ">>" in parts else ""
    return Told(tuple(parts[: parts.index(">>")] if target else parts), code, target)


def _in_code(text: str) -> Iterator[Told]:
    for line in text.splitlines():
        if match := COMMAND.match(line):
            yield told(match[1], line.partition(" #")[2])


def _in_prose(text: str) -> Iterator[Told]:
    spans = [(span, match) for span in SPAN.finditer(text) for match in COMMAND.finditer(span[1])]
    for place, (span, match) in enumerate(spans):
        end = spans[place + 1][0].start() if place + 1 < len(spans) else len(text)
        behind = text[span.end() : end]
        sentence = SENTENCE_END.search(behind)
        yield told(match[1], behind[: sentence.start()] if sentence else behind)
