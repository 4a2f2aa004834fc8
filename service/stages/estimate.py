"""Our estimate of token counts, for wires that report none. It needs no vocabulary file and is always marked as ours.

Four characters of ASCII count as one token, and so does one character of a script that is written in three bytes of
UTF-8 (Chinese, Japanese, Korean ...); two-byte characters (Greek, Cyrillic, accents) count half. Against common
tokenizers this is within about a quarter for prose and code; an image or a file counts as a flat number.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.events import Event, Reasoning, Text, ToolCall
from service.prompt import MediaPart, Prompt, Turn

CHARACTERS_PER_TOKEN = 4
TURN_TOKENS = 4
MEDIA_TOKENS = 768
SURELY_OVER = 1.5
"""An estimate this many times a limit means that the limit was passed, whatever the tokenizer."""


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

    def surely_over(self, limit_tokens: int) -> bool:
        """Whether the answer has passed `limit_tokens` beyond doubt."""
        return self.completion_tokens + self.reasoning_tokens > limit_tokens * SURELY_OVER
