"""What had arrived before the connection broke counts: reading tells of the break first."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import Failure, Kind
from service.events import Event, Finish, Text
from service.wires import arriving
from service.wires.arriving import EPILOGUE_SECONDS, Arriving
from service.wires.bot_events import BotReader
from service.wires.chat_stream import ChatReader
from service.wires.connection import Body
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock
from tests.wires.answers import DONE, text
from tests.wires.calls import asking


async def read_all(*, already: bytes, arrived: bytes) -> tuple[list[Event], Failure | None]:
    """All events of an answer of which `arrived` lies in the buffer when the connection breaks."""
    loop = asyncio.get_running_loop()
    content = Body(loop)
    answer = Arriving(asking(), content, BotReader(), 0.0)
    found: list[Event] = []
    try:
        if already:
            content.parts.append(already)
            found += await answer.read()
        content.parts.append(arrived)
        content.set_exception(Failure(Kind.CUT, "It broke."))
        while events := await answer.read():
            found += events
    except Failure as failure:
        return found, failure
    finally:
        answer.close()
    return found, None


@pytest.mark.anyio
async def test_an_answer_that_had_arrived_whole_is_whole() -> None:
    assert await read_all(already=b"", arrived=text("a") + DONE) == ([Text((b"a",)), Finish("stop")], None)


@pytest.mark.anyio
async def test_text_that_had_arrived_is_given_before_the_failure_where_text_was_given_already() -> None:
    found, failure = await read_all(already=text("a"), arrived=text("b"))
    assert found == [Text((b"a",)), Text((b"b",))]
    assert failure is not None
    assert failure.kind is Kind.CUT


@pytest.mark.anyio
async def test_text_that_had_arrived_commits_nobody_where_none_was_given() -> None:
    found, failure = await read_all(already=b"", arrived=text("b"))
    assert found == []
    assert failure is not None
    assert failure.kind is Kind.CUT


class Commented(Body):
    """An answer that comments follow, one in 0.4 seconds. `waits`: reading waits for them; else they are there."""

    def __init__(self, clock: ClockLoop, *, waits: bool) -> None:
        super().__init__(clock)
        self._clock = clock
        self._waits = waits
        self._comments = 0

    async def readany(self) -> bytes:
        if not self.parts and self._waits:
            self._clock.call_later(0.4, self._comment)
        elif not self.parts:
            self._clock.forward(0.4)
            self._comment()
        return await super().readany()

    def _comment(self) -> None:
        self._comments += 1
        assert self._comments < 100
        self.parts.append(b": still here\n\n")
        self.wake()


@pytest.mark.parametrize("waits", [True, False], ids=["slow", "fast"])
def test_comments_behind_a_whole_answer_do_not_put_off_its_end(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    async def told(clock: ClockLoop) -> tuple[list[Event], float]:
        monkeypatch.setattr(arriving, "perf_counter", clock.time)
        began = clock.time()
        content = Commented(clock, waits=waits)
        content.parts.append(
            b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        )
        answer = Arriving(asking(), content, ChatReader(), 0.0)
        found: list[Event] = []
        while events := await answer.read():
            found += events
        answer.close()
        return found, clock.time() - began

    events, seconds = run_on_a_fake_clock(told)
    assert events == [Text((b"a",)), Finish("stop")]
    assert EPILOGUE_SECONDS <= seconds < EPILOGUE_SECONDS + 0.5
