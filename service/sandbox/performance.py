"""Plays an answer: word by word, at its pace, and with its fault at the right word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Literal

from service.sandbox.answer import Act, Answer, Pace, Rewrite, Say, Think, Wait
from service.sandbox.fault import Fault
from service.sandbox.poe_errors import named

# A long word comes in several pieces, as tokens do; blanks stay with the word before them.
_WORDS = re.compile(r"\S{1,16}\s*|\s+")


@dataclass(frozen=True, slots=True)
class Garbage:
    """One event of the stream is no JSON."""


Step = Act | Garbage


def words(text: str) -> list[str]:
    """`text` in the pieces that a stream brings; joined they are the text again."""
    return _WORDS.findall(text)


class Performance:
    """One answer on its way to one caller.

    `broken` is None until the answer breaks off: `cut` (the stream ends too early, cleanly), `reset` (the connection
    breaks) or `no-end` (nothing but the end is missing). `said` and `thought` are what has left so far.
    """

    def __init__(self, answer: Answer, *, first_word_seconds: float = 0.0, word_seconds: float = 0.0) -> None:
        self.answer = answer
        self.broken: Literal["cut", "reset", "no-end"] | None = None
        self.said = ""
        self.thought = ""
        self._first_word_seconds = first_word_seconds
        self._word_seconds = word_seconds
        self._words = 0
        self._fault = answer.fault

    async def steps(self) -> AsyncGenerator[Step, None]:
        """The acts in pieces, each when its time has come. Raises `Refused` where an error comes in band."""
        await self._pause(self._first_word_seconds)
        for act in self.answer.acts:
            async for step in self._play(act):
                yield step
            if self.broken:
                return
        fault, self._fault = self._fault, None
        if fault is None:
            return
        if fault.verb == "no-end":
            self.broken = "no-end"
            return
        async for step in self._spoil(fault):
            yield step

    async def _play(self, act: Act) -> AsyncGenerator[Step, None]:
        if isinstance(act, Wait):
            await self._pause(act.seconds)
        elif isinstance(act, Pace):
            self._word_seconds = act.seconds_per_word
        elif isinstance(act, Say | Think):
            async for step in self._speak(act):
                yield step
        else:
            if isinstance(act, Rewrite):
                self.said = act.text
            yield act

    async def _speak(self, act: Say | Think) -> AsyncGenerator[Step, None]:
        for piece in words(act.text):
            fault = self._fault
            if fault is not None and fault.verb != "no-end" and self._words >= fault.after:
                self._fault = None
                async for step in self._spoil(fault):
                    yield step
                if self.broken:
                    return
            if self._words:
                await self._pause(self._word_seconds)
            self._words += 1
            if isinstance(act, Say):
                self.said += piece
            else:
                self.thought += piece
            yield replace(act, text=piece)

    async def _spoil(self, fault: Fault) -> AsyncGenerator[Step, None]:
        match fault.verb:
            case "cut" | "reset":
                self.broken = fault.verb
            case "stall":
                await self._pause(fault.seconds)
            case "malformed":
                yield Garbage()
            case "error":
                raise named(fault.name)
            case _:
                # The other verbs are no matter of time: the answer itself, or HTTP, has them.
                return

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)
