"""Recovery: a second answer, asked for out of sight, that may go on where the first one broke off.

It may only if it begins with exactly what the caller already has, so that what the caller holds in the end is one
attempt's whole answer. An answer is a row of runs: text, thoughts, or one tool call, each of some length. The second
answer must show the same runs in the same order, and only the last of those the caller has may be longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import StringIO

from service.events import Event, Extra, File, Finish, Progress, Reasoning, Text, ToolCall, escape, read, size
from service.frozen import frozen

MAX_KEPT_BYTES = 1024 * 1024
"""Of what one caller has got; a longer answer is not recovered."""

Run = tuple[str, str]
"""What a part of an answer belongs to (text, thoughts, a call and its name, a file, a member beside them), and the
part itself."""


class DivergedError(Exception):
    """The second answer is another one."""


@frozen
class Known:
    """What a caller has, run by run, and the ids that it knows the tool calls by."""

    runs: tuple[Run, ...]
    call_ids: Mapping[int, str]


class Kept:
    """What a caller has got of a stream so far."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, StringIO]] = []
        self._names: dict[int, str] = {}
        self._call_ids: dict[int, str] = {}
        self._bytes: int = 0

    @property
    def comparable(self) -> bool:
        """Whether all of it was kept."""
        return self._bytes <= MAX_KEPT_BYTES

    def add(self, batch: Iterable[Event]) -> None:
        """The caller gets these events now."""
        if self._bytes > MAX_KEPT_BYTES:
            return
        for event in batch:
            self._bytes += size(event)
            self._add(event)
        if self._bytes > MAX_KEPT_BYTES:
            self._runs.clear()

    def _add(self, event: Event) -> None:
        found = _part(event, self._names)
        if found is None:
            return
        name, piece = found
        if not self._runs or self._runs[-1][0] != name or not _grows(name):
            self._runs.append((name, StringIO()))
        self._runs[-1][1].write(piece)
        if type(event) is ToolCall:
            self._call_ids.setdefault(event.index, event.id)

    def known(self) -> Known:
        """All of it, at this moment."""
        return Known(tuple([(name, text.getvalue()) for name, text in self._runs]), dict(self._call_ids))


class Follower:
    """Holds a second answer back while it repeats what the caller has, and passes on what comes after that."""

    def __init__(self, known: Known) -> None:
        self._runs = known.runs
        self._ids = known.call_ids
        self._names: dict[int, str] = {}
        self._run = 0
        self._at = -1
        """How much of the run was repeated; -1 before any sign of it, since a call may be nothing but a name."""

    @property
    def caught_up(self) -> bool:
        """Whether everything that the caller has was repeated."""
        left = len(self._runs) - self._run
        return not left or (left == 1 and self._at == len(self._runs[-1][1]))

    def feed(self, batch: Iterable[Event]) -> list[Event]:
        """The new part of some events. Raises `DivergedError` where they are not what the caller has."""
        out: list[Event] = []
        for event in batch:
            if isinstance(event, Finish):
                if not self.caught_up:
                    raise DivergedError
                out.append(event)
            elif not isinstance(event, Progress):
                rest = self._rest_of(event)
                if rest is not None:
                    out.append(rest)
        return out

    def _rest_of(self, event: Event) -> Event | None:
        """What of an event is new."""
        found = _part(event, self._names)
        if found is None:
            return None
        new = self._advance(*found)
        if isinstance(event, ToolCall):
            known_id = self._ids.get(event.index)
            if known_id is None:
                return event
            return ToolCall(event.index, known_id, None, new, None) if new else None
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
            if name != known_name:
                raise DivergedError
            return self._compare(name, piece, known)
        return piece

    def _compare(self, name: str, piece: str, known: str) -> str:
        at = max(self._at, 0)
        missing = len(known) - at
        if len(piece) <= missing:
            if not known.startswith(piece, at) or (not _grows(name) and len(piece) < missing):
                raise DivergedError
            self._at = at + len(piece)
            return ""
        # Longer than what the caller has: it may be so only at its very end.
        if not piece.startswith(known[at:]) or not _grows(name) or self._run < len(self._runs) - 1:
            raise DivergedError
        self._run, self._at = self._run + 1, -1
        return piece[missing:]


def _part(event: Event, names: dict[int, str]) -> Run | None:
    match event:
        case Text(pieces):
            return ("text", read(pieces)) if pieces else None
        case Reasoning(pieces):
            return ("reasoning", read(pieces)) if pieces else None
        case ToolCall():
            name = names.setdefault(event.index, event.name or "")
            return f"call {event.index} {name}", event.arguments
        case File():
            return "file", event.url
        case Extra(members):
            return "extra", repr(sorted(members.items(), key=str))
        case _:
            return None


def _grows(name: str) -> bool:
    """Whether two neighbours of this name are one: two files are two files."""
    return name not in ("file", "extra")
