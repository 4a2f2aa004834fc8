"""Stop sequences, for wires that only pass them on: the answer ends before the first of them, whoever ignores it."""

from __future__ import annotations

from service.events import Text, escape, read


class StopScanner:
    """Looks for stop sequences in text that comes in pieces.

    Text that may be the beginning of a sequence is held back until it is known; `found` says that one was met, after
    which nothing more comes out.
    """

    __slots__ = ("_held", "_longest", "_sequences", "found")

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self._sequences = tuple(s for s in sequences if s)
        self._longest = max((len(s) for s in self._sequences), default=1)
        self._held = ""
        self.found = False

    def feed(self, event: Text) -> Text | None:
        """What of the text may pass now."""
        if self.found:
            return None
        text = self._held + read(event.pieces)
        at = min((at for at in (text.find(s) for s in self._sequences) if at >= 0), default=-1)
        if at >= 0:
            self.found = True
            self._held = ""
            return Text((escape(text[:at]),)) if at else None
        keep = self._possible_beginning(text)
        self._held = text[len(text) - keep :] if keep else ""
        passed = text[: len(text) - keep]
        return Text((escape(passed),)) if passed else None

    def _possible_beginning(self, text: str) -> int:
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-length:]
            if any(s.startswith(tail) for s in self._sequences):
                return length
        return 0

    def flush(self) -> Text | None:
        """What was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return Text((escape(held),)) if held else None
