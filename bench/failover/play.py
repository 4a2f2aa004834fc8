"""What the upstream does with one request, and what it says when it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Wire = Literal["chat", "bot"]


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal. On the bot wire it comes in band where `error_type` says how, as Poe does it, else as a status too."""

    status: int
    type: str
    code: str | None
    message: str
    retry_after: str | None = None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class Play:
    """One answer, the right one unless something here says otherwise. Waits are in seconds.

    `reset`: the connection breaks before any byte. `silent_seconds`: nothing comes for so long, then it closes.
    `first_word_seconds`: between head and first word. `cut_after`: so many words, then `stall_seconds` of silence, then
    it closes without any mark of an end. `broken_event`: the number of the event that is no JSON. `marked`: the last
    event (`[DONE]`, `done`) comes.
    """

    refused: Refused | None = None
    reset: bool = False
    silent_seconds: float = 0.0
    first_word_seconds: float = 0.0
    cut_after: int | None = None
    stall_seconds: float = 0.0
    broken_event: int | None = None
    marked: bool = True


RIGHT = Play()
