"""Recovery: a second answer, asked for out of sight, that may go on where the first one broke off.

It may only if it begins with exactly what the caller already has, so that what the caller holds in the end is one
attempt's whole answer. An answer is a row of runs: text, thoughts, or one tool call, each of some length. The second
answer must show the same runs in the same order, and only the last of those the caller has may be longer.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.events import Event, Extra, File, Finish, Progress, Reasoning, Text, ToolCall, escape, read, size

MAX_KEPT_BYTES = 4 * 1024 * 1024
"""Of what one caller has got; a longer answer is not recovered."""

Part = tuple[str, str]
"""What a piece of an answer belongs to (text, thoughts, a call and its name, a file, a member beside them), and the
piece itself; of things that have no inner order the piece is all there is."""


class DivergedError(Exception):
    """The second answer is another one."""


class Kept:
    """What a caller has got of a stream."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._bytes: int = 0
        self._call_ids: dict[int, str] = {}

    @property
    def comparable(self) -> bool:
        """Whether all of it was kept."""
        return self._bytes <= MAX_KEPT_BYTES

    def add(self, batch: Iterable[Event]) -> None:
        """The caller gets these events now."""
        if self._bytes > MAX_KEPT_BYTES:
            return
        for event in batch:
            self._events.append(event)
            self._bytes += size(event)
            if type(event) is ToolCall:
                self._call_ids.setdefault(event.index, event.id)
        if self._bytes > MAX_KEPT_BYTES:
            self._events.clear()

    def runs(self) -> list[Part]:
        """What the caller has, run by run."""
        runs: list[Part] = []
        names: dict[int, str] = {}
        for event in self._events:
            for name, piece in _parts(event, names):
                if runs and runs[-1][0] == name and _grows(name):
                    runs[-1] = (name, runs[-1][1] + piece)
                else:
                    runs.append((name, piece))
        return runs

    def call_ids(self) -> dict[int, str]:
        """The ids that the caller knows the calls by."""
        return dict(self._call_ids)


class Follower:
    """Holds a second answer back while it repeats what the caller has, and passes on what comes after that."""

    def __init__(self, kept: Kept) -> None:
        self._runs = kept.runs()
        self._ids = kept.call_ids()
        self._names: dict[int, str] = {}
        self._run = 0
        self._at = -1
        """How much of the run was repeated; -1 before any sign of it, since a call may be nothing but a name."""

    @property
    def caught_up(self) -> bool:
        """Whether everything that the caller has was repeated."""
        left = self._runs[self._run :]
        return not left or (len(left) == 1 and self._at == len(left[0][1]))

    def feed(self, batch: Iterable[Event]) -> list[Event]:
        """The new part of some events. Raises `DivergedError` where they are not what the caller has."""
        out: list[Event] = []
        for event in batch:
            if isinstance(event, Finish):
                if not self.caught_up:
                    raise DivergedError
                out.append(event)
            elif isinstance(event, Progress):
                continue
            else:
                rest = self._rest_of(event)
                if rest is not None:
                    out.append(rest)
        return out

    def _rest_of(self, event: Event) -> Event | None:
        """What of an event is new."""
        new = "".join([self._advance(name, piece) for name, piece in _parts(event, self._names)])
        if isinstance(event, ToolCall):
            known = event.index in self._ids
            if known and not new:
                return None
            if known:
                return ToolCall(event.index, self._ids[event.index], None, new, None)
            return event
        if not new:
            return None
        if isinstance(event, Text):
            return Text((escape(new),))
        return Reasoning((escape(new),)) if isinstance(event, Reasoning) else event

    def _advance(self, name: str, piece: str) -> str:
        """Go on by one piece; what of it is beyond all that the caller has."""
        while self._run < len(self._runs):
            known_name, known = self._runs[self._run]
            if self._at == len(known) and (name != known_name or not _grows(name)):
                self._run, self._at = self._run + 1, -1
                continue
            return self._compare(name, piece, known_name, known)
        return piece

    def _compare(self, name: str, piece: str, known_name: str, known: str) -> str:
        missing = known[max(self._at, 0) :]
        new = piece[len(missing) :]
        if name != known_name or not missing.startswith(piece[: len(missing)]):
            raise DivergedError
        if not _grows(name) and piece != missing:
            raise DivergedError
        if new and self._run < len(self._runs) - 1:
            raise DivergedError  # the caller has something else after this run
        self._at = len(known) - len(missing) + len(piece) - len(new)
        if new:
            self._run, self._at = self._run + 1, -1
        return new


def _parts(event: Event, names: dict[int, str]) -> list[Part]:
    match event:
        case Text(pieces):
            return [("text", read(pieces))] if pieces else []
        case Reasoning(pieces):
            return [("reasoning", read(pieces))] if pieces else []
        case ToolCall():
            name = names.setdefault(event.index, event.name or "")
            return [(f"call {event.index} {name}", event.arguments)]
        case File():
            return [("file", event.url)]
        case Extra(members):
            return [("extra", repr(sorted(members.items(), key=str)))]
        case _:
            return []


def _grows(name: str) -> bool:
    """Whether two neighbours of this name are one: two files are two files."""
    return name not in ("file", "extra")
