"""What is asked and what must come back, word for word, from whichever model answers."""

from __future__ import annotations

QUESTION = "Say in sixty words what a gate has to do when the house behind it is in trouble."

ANSWER = (
    "A gate shows what it is worth on bad days. While the house behind it sleeps, burns or lies, those in front of it "
    "still wait for an answer, and they deserve the whole of it or the plain truth. Half an answer is the "
    "worst it can give; the second house down the road is the best of all."
)
WORDS = tuple(ANSWER.split(" "))
PIECES = (WORDS[0], *[f" {word}" for word in WORDS[1:]])
"""The answer as it is streamed, a word an event."""


def normal(text: str) -> str:
    """Text with its blanks evened out, as answers are compared."""
    return " ".join(text.split())


def left_of(said: str) -> tuple[str, ...]:
    """What follows on what an assistant has said already; all of it where that is not how the answer begins."""
    count = len(said.split())
    return PIECES[count:] if normal(" ".join(WORDS[:count])) == normal(said) else PIECES
