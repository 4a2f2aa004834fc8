"""What a sandbox model does: a script of acts that every wire plays in its own way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from service.sandbox.ask import Ask
from service.sandbox.fault import Fault
from service.sandbox.tokens import count_tokens, take_tokens

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Say:
    """Visible text."""

    text: str


@dataclass(frozen=True, slots=True)
class Think:
    """Thoughts: fields of their own on REST, a quoted opening on the bot wire."""

    text: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool call; `arguments` is JSON text. `signature` is what Gemini wants back with it."""

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """A file that the model made. `title` makes it a Markdown picture in the text, too."""

    data: bytes = field(repr=False)
    kind: Literal["image", "audio", "video"]
    content_type: str
    name: str
    title: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A progress line, which replaces whatever the bot wire has shown so far."""

    text: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """All visible text so far is void; this stands instead."""

    text: str


@dataclass(frozen=True, slots=True)
class Suggest:
    """A follow-up button of the bot wire; no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Silence."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """From here on a word takes this long."""

    seconds_per_word: float


Act = Say | Think | CallTool | Show | Report | Rewrite | Suggest | Wait | Pace


@dataclass(frozen=True, slots=True)
class Answer:
    """Acts in order, how they end, and the fault that spoils them, if any."""

    acts: tuple[Act, ...]
    finish: FinishReason = "stop"
    fault: Fault | None = None

    @property
    def text(self) -> str:
        """What stands in the end."""
        text = ""
        for act in self.acts:
            if isinstance(act, Say):
                text += act.text
            elif isinstance(act, Rewrite):
                text = act.text
        return text


def say(text: str) -> Answer:
    """An answer of plain text."""
    return Answer((Say(text),))


def trim(answer: Answer, ask: Ask) -> Answer:
    """The answer up to the first stop sequence, or the token limit, that the caller set."""
    kept: list[Act] = []
    left = ask.max_tokens
    for act in answer.acts:
        if not isinstance(act, Say):
            kept.append(act)
            continue
        text = _before(act.text, ask.stop)
        stopped = len(text) < len(act.text)
        if left is not None:
            short = take_tokens(text, left)
            if short != text:
                return replace(answer, acts=(*kept, Say(short)), finish="length")
            left -= count_tokens(text)
        kept.append(Say(text))
        if stopped:
            return replace(answer, acts=tuple(kept))
    return replace(answer, acts=tuple(kept))


def _before(text: str, stops: Iterable[str]) -> str:
    for stop in stops:
        text = text.partition(stop)[0] if stop else text
    return text
