"""What is asked and what must come back: the same for whoever asks, relays or answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

SHORT_MODEL = "bench-short"
HUNDRED_MODEL = "bench-hundred"
PACED_MODEL = "bench-paced"
FALTERING_MODEL = "bench-faltering"
"""Every seventh call of it fails, so that some answers take a second attempt."""

LONG_TURNS = 50
LONG_BODY_BYTES = 200_000
STAMP_FORMAT = "%06d %016d;"
"""The text of a paced event: its number, and the microseconds of the monotonic clock at which it was sent."""

_WORDS = (
    "The gate keeps count of what passes, and nothing that passes is lost. "
    'She said "again", so we ran it again – naïve, but true. '
    "A café in 東京 opens at seven;\nthe train leaves at eight.\n"
    "if x < 10 and not y:\n\treturn {'sum': x + 1}  # C:\\path\n"
    "Half of the cost is waking up, the other half is writing 🙂 down. "
)
"""Prose and code with what JSON must escape and UTF-8 must spell: quotes, backslashes, newlines, accents, an emoji."""

_TALK = (
    "def total(rows):\n    '''Sum of the open rows.'''\n    return sum(row[\"sum\"] for row in rows)\n\n",
    "Please look at the function above and say why it is slow when the list is long, then write a faster one.\n",
    "It isn’t the sum – it’s the dictionary’s look-ups: “paid” is hashed for every row, which a tuple avoids. ",
    '{"level": "info", "path": "C:\\\\rows\\\\open.csv", "seconds": 0.125, "rows": 20480}\n',
    f"请看上面的函数,说明列表很长时它为什么慢,然后写一个更快的版本。谢谢!\n{_WORDS}",
)
"""What turns of a conversation are made of, by turns: three in five are plain ASCII, as code and most English is."""


def _text(length: int, offset: int = 0, words: str = _WORDS) -> str:
    """`length` characters of the words from `offset` on, round and round."""
    start = offset % len(words)
    return (words * ((start + length) // len(words) + 1))[start : start + length]


def _pieces(count: int, length: int) -> tuple[str, ...]:
    return tuple(_text(length, offset=number * length) for number in range(count))


SHORT_PIECES = _pieces(8, 30)
"""The short answer, 240 characters: one JSON body on the chat wire, eight text events on the bot wire."""

HUNDRED_PIECES = _pieces(100, 24)
"""The streamed answer: a hundred pieces of 24 characters."""

Messages = tuple[tuple[str, str], ...]
"""Role and text of each turn."""

QUESTION: Messages = (("user", "Say what the gate keeps count of, in a few lines."),)


def _body(model: str, messages: Messages, *, stream: bool) -> bytes:
    """A request as the OpenAI clients write it: compact JSON in UTF-8."""
    members: dict[str, Any] = {
        "messages": [{"role": role, "content": text} for role, text in messages],
        "model": model,
    }
    if stream:
        members["stream"] = True
    return orjson.dumps(members)


def _conversation() -> Messages:
    """A system prompt and 49 turns that take their turns, first and last the user's, of equal length in bytes."""
    roles = ["system"] + ["user" if number % 2 == 0 else "assistant" for number in range(LONG_TURNS - 1)]
    overhead = len(_body(SHORT_MODEL, tuple((role, "") for role in roles), stream=False))
    share = (LONG_BODY_BYTES - overhead) // LONG_TURNS
    turns = tuple((role, _filled(share, 7 * number, _TALK[number % 5])) for number, role in enumerate(roles))
    missing = LONG_BODY_BYTES - len(_body(SHORT_MODEL, turns, stream=False))
    role, text = turns[-1]
    return (*turns[:-1], (role, text + "." * missing))


def _filled(json_bytes: int, offset: int, words: str) -> str:
    """The words from `offset` on, as many as take `json_bytes` bytes inside a JSON string."""
    text = _text(json_bytes, offset, words)
    while (over := len(orjson.dumps(text)) - 2 - json_bytes) > 0:
        text = text[: -max(1, over // 4)]  # a character takes four bytes at most
    return text + "." * (json_bytes - (len(orjson.dumps(text)) - 2))


CONVERSATION: Messages = _conversation()


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request: the body that is sent, and the answer that must come back.

    `pieces` is the number of content events that a stream must have; `text` is None where each answer is
    different (the paced streams, which are checked by number and stamp).
    """

    name: str
    model: str
    stream: bool
    body: bytes
    text: str | None
    pieces: int


WHOLE = Case("whole", SHORT_MODEL, False, _body(SHORT_MODEL, QUESTION, stream=False), "".join(SHORT_PIECES), 1)
STREAM = Case("stream", HUNDRED_MODEL, True, _body(HUNDRED_MODEL, QUESTION, stream=True), "".join(HUNDRED_PIECES), 100)
FALTERING = Case(
    "faltering", FALTERING_MODEL, False, _body(FALTERING_MODEL, QUESTION, stream=False), "".join(SHORT_PIECES), 1
)
LONG = Case("long", SHORT_MODEL, False, _body(SHORT_MODEL, CONVERSATION, stream=False), "".join(SHORT_PIECES), 1)


def paced(events: int) -> Case:
    """A stream of `events` stamped events."""
    return Case("paced", PACED_MODEL, True, _body(PACED_MODEL, QUESTION, stream=True), None, events)


_BOT_ROLES = {"system": "system", "user": "user", "bot": "assistant", "assistant": "assistant"}


def arrived_whole(messages: object) -> bool:
    """Whether a conversation that reached the upstream is one of those that were sent, word for word."""
    if not isinstance(messages, list):
        return False
    expected = QUESTION if len(messages) == len(QUESTION) else CONVERSATION
    return tuple(_turn(message) for message in messages) == expected


def _turn(message: object) -> tuple[str, str]:
    if not isinstance(message, dict):
        return ("", "")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join([part.get("text", "") for part in content if isinstance(part, dict)])
    return (_BOT_ROLES.get(str(message.get("role")), ""), str(content))
