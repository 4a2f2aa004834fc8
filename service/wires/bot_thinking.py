"""Telling a bot's thoughts from its answer: Poe writes them into the text, as a quotation at the very start.

    *Thinking...*

    > **A heading**
    >
    > what it thought

    The answer.

Only the start of an answer is looked at. Where the pattern does not hold, the text comes back as it was.
"""

from __future__ import annotations

from typing import Literal

Part = tuple[bool, str]
"""Whether it is a thought, and the text."""

MARKERS = ("*Thinking...*", "Thinking...")
LONGEST_START = 64
"""Characters from the start of an answer to its first quotation mark; more is no start of thoughts."""


class Thoughts:
    """Splits the text of one answer, given in whatever pieces, into thoughts and answer.

    `passed`: whatever comes from now on is answer, and needs no splitting any more.
    """

    __slots__ = ("_held", "_newlines", "_where", "passed")

    def __init__(self) -> None:
        self.passed = False
        self._held = ""
        self._newlines = 0
        self._where: Literal["start", "line", "mark", "quote", "gap"] = "start"

    def feed(self, text: str) -> list[Part]:
        """The parts of `text`, after what was held back before it; without what must be held back now."""
        if self.passed:
            return [(False, text)]
        if self._where == "start":
            self._held += text
            quote = _first_quote(self._held)
            if quote is None:
                return []
            text, self._held = self._held, ""
            if quote < 0:
                self.passed = True
                return [(False, text)]
            text = text[quote:]
            self._where = "line"
        thoughts, rest = self._quoted(text)
        parts = [(True, thoughts)] if thoughts else []
        if self._where == "gap":
            rest = rest.lstrip("\r\n")
            if rest:
                self.passed = True
                parts.append((False, rest))
        return parts

    def flush(self) -> str:
        """At the end of the answer: the text that was held back and turned out to be no thoughts."""
        held, self._held = self._held, ""
        self.passed = True
        return held

    def _quoted(self, text: str) -> tuple[str, str]:
        """The thoughts at the start of `text`, out of their quotation, and what follows them."""
        out: list[str] = []
        at = 0
        while at < len(text) and self._where != "gap":
            if self._where == "line":
                if text[at] == ">":
                    self._where = "mark"
                    at += 1
                else:
                    self._where = "gap"
            elif self._where == "mark":
                self._where = "quote"
                at += text[at] == " "
            else:
                end = text.find("\n", at)
                line = text[at:] if end < 0 else text[at:end]
                if line:
                    # Line ends wait for the line that follows, so that none is left at the end of the thoughts.
                    out += ["\n" * self._newlines, line]
                    self._newlines = 0
                if end < 0:
                    at = len(text)
                else:
                    at = end + 1
                    self._newlines += 1
                    self._where = "line"
        return "".join(out), text[at:]


def _first_quote(text: str) -> int | None:
    """Where the quotation of the thoughts begins; -1 where these are no thoughts; None where that is still open."""
    start = text.lstrip()
    for marker in MARKERS:
        if start.startswith(marker):
            rest = start[len(marker) :]
            quote = rest.lstrip()
            if not quote:
                return None if len(text) <= LONGEST_START else -1
            before, at = rest[: len(rest) - len(quote)], len(text) - len(quote)
            return at if quote[0] == ">" and "\n" in before and at <= LONGEST_START else -1
        if marker.startswith(start):
            return None if len(text) <= LONGEST_START else -1
    return -1
