"""The time that the bot reader takes for an event: told at the end of the run, and held within ten times its budget."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from timeit import repeat

import pytest

from service.wires.bot_events import BotReader
from service.wires.sse import SseReader

EVENT_BUDGET_US = 0.6
SSE_BUDGET_US = 0.3
SLOW_MACHINE = 10
TEXTS = {"ASCII": b" hello", "escapes": b"a\\n\\u4f60\\u597d", "UTF-8": "你好".encode()}


def microseconds(work: Callable[[], object], events: int) -> float:
    """The least time for one event."""
    return min(repeat(work, timer=thread_time, number=20, repeat=7)) / 20 / events * 1e6


@pytest.mark.parametrize("script", TEXTS)
def test_a_busy_read_costs_little_for_each_event(script: str, record_property: Callable[[str, object], None]) -> None:
    read = b'event: text\r\ndata: {"text": "%b"}\r\n\r\n' % TEXTS[script] * 100
    reader = BotReader()
    reader.feed(read)
    busy = microseconds(lambda: reader.feed(read), 100)
    paced = microseconds(lambda: reader.feed(read[: len(read) // 100]), 1)
    record_property("told", f"bot reader, {script}: {busy:.2f} µs an event at 100 a read, {paced:.1f} µs alone")
    assert busy < EVENT_BUDGET_US * SLOW_MACHINE


def test_a_busy_read_of_unnamed_events_costs_little(record_property: Callable[[str, object], None]) -> None:
    read = b'data: {"choices":[{"index":0,"delta":{"content":" hello"}}]}\n\n' * 100
    reader = SseReader()
    busy = microseconds(lambda: reader.feed(read), 100)
    record_property("told", f"SSE reader: {busy:.2f} µs an event at 100 a read")
    assert busy < SSE_BUDGET_US * SLOW_MACHINE
