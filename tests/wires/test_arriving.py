"""What had arrived before the connection broke counts: reading tells of the break first."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import Failure, Kind
from service.events import Event, Finish, Text
from service.wires.arriving import Arriving
from service.wires.bot_events import BotReader
from service.wires.connection import Body
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
