"""The time that is Poe's and not ours, also while it is being waited."""

from __future__ import annotations

import pytest

from service import waiting as module
from service.api import headers as heads
from service.api.headers import told
from service.observe.record import Record
from service.waiting import Waiting
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for reader in (module, heads):
        monkeypatch.setattr(reader, "perf_counter", clock)
    return clock


def test_waits_add_up(clock: Clock) -> None:
    waiting = Waiting()
    waiting.begin()
    clock.now += 0.5
    assert (waiting.seconds, waiting.end()) == (0.5, 0.5)
    clock.now += 7
    waiting.add(1.0)
    assert waiting.seconds == 1.5


def test_a_wait_that_is_under_way_is_no_overhead(clock: Clock) -> None:
    record = Record("id", "chat", "/", lambda ended: None)
    record.started_at = clock.now
    clock.now += 0.25
    record.waiting.begin()
    clock.now += 8
    headers = dict(told(record))  # as where the head leaves at HEAD_DEADLINE
    assert record.overhead_seconds == 0.25
    assert headers[b"x-proxy-overhead-ms"] == b"250.00"
