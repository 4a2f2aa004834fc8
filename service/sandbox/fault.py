"""Faults that a prompt asks for: the little language of the failing model.

    fail: [once | twice] VERB ARGUMENTS

    status N [retry-after S] [type T] [code C]   an HTTP error in Poe's shape
    html N                                       an HTTP error of Cloudflare's, as a web page
    late S                                       even the head comes S seconds late
    error NAME [after N]                         an error in band; NAME is one of ERRORS
    stall S [after N]                            silence for S seconds, then all goes well
    malformed [after N]                          one event that is no JSON, the rest is right
    cut [after N]                                the stream ends cleanly in the middle, with no proper end
    reset [after N]                              the connection breaks in the middle
    no-end                                       everything is said, but the mark of the end is missing
    empty | length | filter                      a proper end with nothing before it

N counts words. The lines after the first are what the model says; without any it says SIXTY_WORDS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verb = Literal[
    "status", "html", "late", "error", "stall", "malformed", "cut", "reset", "no-end", "empty", "length", "filter"
]
_ARGUMENT = {"status": "status", "html": "status", "late": "seconds", "stall": "seconds", "error": "name"}
_OPTIONS = {"after": "after", "retry-after": "retry_after", "type": "type", "code": "code"}
_VERBS = {*_ARGUMENT, "malformed", "cut", "reset", "no-end", "empty", "length", "filter"}
MAX_SECONDS = 600.0
"""The longest silence that a prompt can buy."""

SIXTY_WORDS = (
    "A gateway stands between many callers and one provider. It keeps what each of them was promised, even on days "
    "when the provider does not. When an answer breaks in the middle, it says so, and never dresses half a sentence "
    "as a whole one. When a key runs dry it takes the next, quietly, before anybody has to notice."
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `times` is how often it happens for one prompt, None for always; `seconds` may be fractions."""

    verb: Verb
    status: int = 0
    seconds: float = 0.0
    name: str = ""
    after: int = 0
    retry_after: str | None = None
    type: str | None = None
    code: str | None = None
    times: int | None = None

    @property
    def before_head(self) -> bool:
        """Whether it happens in HTTP alone, before any model is asked."""
        return self.verb in ("status", "html")


def split_fault(text: str) -> tuple[str | None, str]:
    """The words after `fail:` in the prompt's first line (None without any), and what the model shall say."""
    first, _, rest = text.strip().partition("\n")
    if not first.lower().startswith("fail:"):
        return None, text
    return first[len("fail:") :].strip(), rest.strip() or SIXTY_WORDS


def parse_fault(words: str) -> Fault:
    """The fault that the words name; ValueError says what is wrong with them."""
    tokens = words.split()
    values: dict[str, object] = {}
    if tokens and tokens[0] in ("once", "twice"):
        values["times"] = 1 if tokens.pop(0) == "once" else 2
    verb = tokens.pop(0) if tokens else ""
    if verb not in _VERBS:
        raise ValueError(f"no such fault: {verb!r}")
    values["verb"] = verb
    if verb in _ARGUMENT:
        if not tokens:
            raise ValueError(f"{verb} wants an argument")
        values[_ARGUMENT[verb]] = _value(_ARGUMENT[verb], tokens.pop(0))
    while tokens:
        option = tokens.pop(0)
        if option not in _OPTIONS or not tokens:
            raise ValueError(f"{verb} does not understand {option!r}")
        values[_OPTIONS[option]] = _value(_OPTIONS[option], tokens.pop(0))
    return Fault(**values)  # type: ignore[arg-type]


def _value(field: str, word: str) -> str | int | float:
    if field == "status":
        status = int(word)
        if not 400 <= status <= 599:
            raise ValueError(f"no error status: {word}")
        return status
    if field == "after":
        return max(0, int(word))
    if field == "seconds":
        seconds = float(word)
        if not math.isfinite(seconds):
            raise ValueError(f"no number of seconds: {word}")
        return min(MAX_SECONDS, max(0.0, seconds))
    return word
