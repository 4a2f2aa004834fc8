"""The time that is Poe's and not ours, also while it is being waited."""

from __future__ import annotations

import time

import pytest

from service.api.headers import told
from service.observe.record import Record
from service.waiting import Waiting


def test_waits_add_up() -> None:
    waiting = Waiting()
    waiting.begin()
    time.sleep(0.02)
    first = waiting.end()
    waiting.add(1.0)
    assert first >= 0.02
    assert waiting.seconds == pytest.approx(first + 1.0)


def test_a_wait_that_is_under_way_is_no_overhead() -> None:
    record = Record("id", "chat", "/", lambda ended: None)
    record.waiting.begin()
    time.sleep(0.1)
    headers = dict(told(record))  # as where the head leaves at HEAD_DEADLINE
    assert record.overhead_seconds < 0.05
    assert float(headers[b"x-proxy-overhead-ms"]) < 50
