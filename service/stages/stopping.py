"""Stop sequences, for wires that only pass them on: the answer ends before the first of them, whoever ignores it."""

from __future__ import annotations

from service.events import Text, escape, read

LONGEST = 1024
"""Characters of a sequence that is looked for. A longer one is no sequence that a model writes, but costs to find."""


class StopScanner:
    """Looks for stop sequences in text that comes in pieces.

    The first sequence to be complete ends the answer, as it would end it in a model, so that the pieces make no
    difference. Text that may be the beginning of a sequence is held back until it is known; `found` says that one was
    met, after which nothing more comes out.
    """

    __slots__ = ("_held", "_longest", "_sequences", "found")

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self._sequences = tuple([s for s in sequences if 0 < len(s) <= LONGEST])
        self._longest = max([len(s) for s in self._sequences], default=1)
        self._held = ""
        self.found = False

    def feed(self, event: Text) -> Text | None:
        """What of the text may pass now."""
        if self.found:
            return None
        text = self._held + read(event.pieces)
        ends = [(start + len(s), start) for s in self._sequences if (start := text.find(s)) >= 0]
        if ends:
            self.found = True
            self._held = ""
            return _text(text[: min(ends)[1]])
        keep = self._possible_beginning(text)
        self._held = text[len(text) - keep :] if keep else ""
        return _text(text[: len(text) - keep])

    def _possible_beginning(self, text: str) -> int:
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-length:]
            if any([s.startswith(tail) for s in self._sequences]):
                return length
        return 0

    def flush(self) -> Text | None:
        """What was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return _text(held)


def _text(text: str) -> Text | None:
    return Text((escape(text),)) if text else None
