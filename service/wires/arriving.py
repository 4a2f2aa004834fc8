"""An answer while it comes: reading its bytes, and how long the next of them may take."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

from service.errors import Failure, Kind
from service.events import VISIBLE, Event
from service.wires.call import UpstreamCall
from service.wires.connection import Body
from service.wires.watchdog import Watchdog

EPILOGUE_SECONDS = 3.0
"""For all that follows an answer that is whole already, its token counts for one."""
NOT_BEGUN = "The model did not begin to answer in time."
NO_ANSWER = "The model's answer did not come in time."
FELL_SILENT = "The model fell silent in the middle of its answer."


class Reader(Protocol):
    """Turns the bytes of one answer into events.

    `over`: nothing more is read, be it for the end or for a failure. `whole`: nothing of the answer is missing, though
    something may follow it; `close` then gives the end.
    """

    @property
    def over(self) -> bool: ...

    @property
    def whole(self) -> bool: ...

    def feed(self, chunk: bytes, /) -> list[Event]:
        """The events that some more bytes complete."""

    def close(self) -> list[Event]:
        """The events at the end of the body."""


class Arriving:
    """One answer. Only time that is spent on waiting for the upstream counts: what its reader takes does not."""

    __slots__ = (
        "_broken",
        "_call",
        "_content",
        "_epilogue_ends",
        "_left_seconds",
        "_reader",
        "_watchdog",
        "_working",
        "visible",
    )

    def __init__(self, call: UpstreamCall, content: Body, reader: Reader, waited_seconds: float) -> None:
        self.visible = False
        self._broken: Failure | None = None
        self._call = call
        self._content = content
        self._epilogue_ends = 0.0
        self._reader = reader
        self._working = False
        self._left_seconds = call.first_event_seconds - waited_seconds
        self._watchdog = Watchdog(self._wake)

    async def read(self) -> list[Event]:
        """The next events; none once the answer is over or has failed. Raises Failure."""
        while not self._reader.over:
            events = self._take(await self._chunk())
            if events:
                self._saw(events)
                return events
        return []

    def close(self) -> None:
        """Look no longer after the upstream. The watchdog holds this answer, so that a ring is broken here."""
        self._watchdog.close()
        del self._watchdog

    def _take(self, data: bytes) -> list[Event]:
        events = self._reader.feed(data) if data else self._reader.close()
        if self._broken is not None and not self.visible and not self._reader.over:
            raise self._broken  # what came together with the failure commits nobody
        return events

    async def _chunk(self) -> bytes:
        """More of the body, empty at its end. What had come before the connection broke counts before that does."""
        if self._broken is None:
            try:
                return await self._arriving()
            except Failure as failure:
                self._broken = failure
        data = self._content.unread()
        if data:
            return data
        if self._reader.whole:
            return b""
        raise self._broken

    async def _arriving(self) -> bytes:
        self._watchdog.expect(self._epilogue_left() if self._reader.whole else self._left_seconds)
        self._call.waiting.begin()
        try:
            data = await self._content.readany()
        except TimeoutError:
            raise Failure(Kind.SILENT, self._silence()) from None
        finally:
            self._watchdog.rest()
            self._left_seconds -= self._call.waiting.end()
        return data

    def _epilogue_left(self) -> float:
        """Seconds. Comments that go on and on do not make them more, even where they come too fast to be waited for."""
        now = perf_counter()
        if not self._epilogue_ends:
            self._epilogue_ends = now + EPILOGUE_SECONDS
        if self._epilogue_ends <= now:
            raise Failure(Kind.SILENT, self._silence())
        return self._epilogue_ends - now

    def _wake(self) -> None:
        self._content.set_exception(TimeoutError())

    def _saw(self, events: list[Event]) -> None:
        if self.visible or any([isinstance(event, VISIBLE) for event in events]):
            self.visible = True
            self._left_seconds = self._call.idle_seconds
        elif not self._working:
            self._working = True
            self._left_seconds += self._call.answer_seconds - self._call.first_event_seconds

    def _silence(self) -> str:
        if self.visible:
            return FELL_SILENT
        return NO_ANSWER if self._working else NOT_BEGUN
