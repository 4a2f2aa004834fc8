"""Our estimate of token counts, for wires that report none. It needs no vocabulary file and is always marked as ours.

Four characters of ASCII count as one token, and so does one character of a script that is written in three bytes of
UTF-8 (Chinese, Japanese, Korean ...); two-byte characters (Greek, Cyrillic, accents) count half. Against common
tokenizers this is within about a quarter for prose and code; an image or a file counts as a flat number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import ceil, floor, inf

from service.events import Event, Reasoning, Text, ToolCall, read
from service.prompt import MediaPart, Prompt, Turn

CHARACTERS_PER_TOKEN = 4
TURN_TOKENS = 4
MEDIA_TOKENS = 768

LETTERS = "A-Za-zÀ-ɏͰ-Ͽа-яА-ЯёЁ"
RUNS = re.compile(
    rf"(?P<words>[{LETTERS}]+(?:['’][A-Za-z]+)?)|(?P<digits>[0-9]+)|(?P<signs>[!-/:-@\[-`{{-~]+)|\s+"
    rf"|(?P<others>[^{LETTERS}!-~\s]+)"
)
OPEN = "".join([chr(code) for code in range(0x21, 0x460) if re.match(f"[{LETTERS}!-~]", chr(code))]) + "’"
"""Characters that the next one may belong to."""
LONGEST = {"words": 24, "digits": 4, "signs": 64, "others": 4}
"""Characters of each kind that no common tokenizer is likely to exceed in one token, on the average of an answer."""
WHOLE = frozenset({"words", "digits"})
"""Kinds of which a short run is a token at least. A sign may be one with the word behind it, as in `_name`."""
COUNTED_AT_ONCE = 256
LONGEST_OPEN = 512
"""Such characters at the end of what came, that are left uncounted because more of them may come."""


def text_tokens(text: str) -> float:
    """Tokens of plain text."""
    if text.isascii():
        return len(text) / CHARACTERS_PER_TOKEN
    extra_bytes = len(text.encode("utf-8", "replace")) - len(text)
    wide = extra_bytes / 2
    return wide + max(0.0, len(text) - wide) / CHARACTERS_PER_TOKEN


def escaped_tokens(pieces: Iterable[bytes]) -> float:
    """Tokens of escaped pieces, without decoding them."""
    joined = b"".join(pieces)
    wide = joined.count(b"\\u") if b"\\" in joined else 0
    if joined.isascii():
        return wide + (len(joined) - 6 * wide) / CHARACTERS_PER_TOKEN
    return wide + text_tokens(joined.decode("utf-8", "replace")) - 6 * wide / CHARACTERS_PER_TOKEN


def prompt_tokens(prompt: Prompt) -> int:
    """Tokens of everything that is sent: turns, calls, media, tools."""
    total = sum([_turn_tokens(turn) for turn in prompt.turns])
    for tool in prompt.tools:
        total += TURN_TOKENS + text_tokens(f"{tool.name}{tool.description or ''}{tool.parameters or ''}")
    return max(1, round(total))


def _turn_tokens(turn: Turn) -> float:
    total = float(TURN_TOKENS)
    for part in turn.parts:
        total += MEDIA_TOKENS if isinstance(part, MediaPart) else text_tokens(part.text)
    for call in turn.calls:
        total += TURN_TOKENS + text_tokens(call.name + call.arguments)
    return total


class Meter:
    """Counts what an answer holds, as it passes."""

    __slots__ = ("completion_tokens", "reasoning_tokens")

    def __init__(self) -> None:
        self.completion_tokens = 0.0
        self.reasoning_tokens = 0.0

    def feed(self, event: Event) -> None:
        """Count one event."""
        if isinstance(event, Text):
            self.completion_tokens += escaped_tokens(event.pieces)
        elif isinstance(event, Reasoning):
            self.reasoning_tokens += escaped_tokens(event.pieces)
        elif isinstance(event, ToolCall):
            self.completion_tokens += text_tokens(event.arguments) + (TURN_TOKENS if event.name else 0)


class Floor:
    """The fewest tokens that an answer can have: to be over a limit by this count is to be over it by any.

    No tokenizer puts two words into one token, nor a word and a number, so that each of them counts as one at least.
    """

    __slots__ = ("_limit_tokens", "_open", "tokens")

    def __init__(self, limit_tokens: float = inf) -> None:
        self.tokens = 0.0
        self._limit_tokens = limit_tokens
        self._open = ""

    def feed(self, event: Event) -> int | None:
        """Count one event. Its end is counted when it is known to be over.

        Once the limit is passed, the characters of this event that are within it; else None.
        """
        before = len(self._open)
        if isinstance(event, (Text, Reasoning)):
            self._open += read(event.pieces)
        elif isinstance(event, ToolCall):
            self._open += event.arguments
        left = self._limit_tokens - self.tokens
        if len(self._open) <= min(COUNTED_AT_ONCE, CHARACTERS_PER_TOKEN * left):
            return None
        within = self._count()
        return None if within is None else max(0, within - before)

    def _count(self) -> int | None:
        """Count what is open, up to what may still grow; where in it the limit is passed, if it is."""
        text = self._open
        end = len(text.rstrip(OPEN))
        if len(text) - end > LONGEST_OPEN:
            end = len(text)
        for run in RUNS.finditer(text, 0, end):
            kind = run.lastgroup
            if kind is None:
                continue
            tokens = (run.end() - run.start()) / LONGEST[kind]
            left = self._limit_tokens - self.tokens
            self.tokens += ceil(tokens) if kind in WHOLE else tokens
            if self.tokens > self._limit_tokens:
                return run.start() + int((floor(left) if kind in WHOLE else left) * LONGEST[kind])
        self._open = text[end:]
        return None
