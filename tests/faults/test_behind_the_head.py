"""Faults behind a head that has left: failover goes on behind keep-alives, and what nobody can mend is told in band."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from service.errors import Kind
from tests.faults.cells import Cell, possible
from tests.faults.gateways import door, fresh, turns
from tests.faults.proxy import Call, FaultProxy, Rule, Script
from tests.faults.reply import ask, read
from tests.faults.speech import right, speech_for, words_of
from tests.faults.table import FATES
from tests.running import Running
from tests.wires.upstream import Wait

SETTINGS = {"HEAD_DEADLINE": "0", "KEEPALIVE": "0.05"}
IMPATIENT = {"FIRST_EVENT_TIMEOUT": "0.4"}
"""For the fault that is nothing but silence."""
LATE_SECONDS = 0.12
"""A fault waits this long, so that the head is there before it."""
SHOWN = (
    "400", "401", "402", "429", "503_empty", "fin_before_head", "silence_before_head",
    "clean_end", "empty", "bot_error_internal", "chat_error_server",
)  # fmt: skip
CELLS = [
    cell for cell in possible() if (cell.shape, cell.moment) == ("streamed", "before") and cell.fault_name in SHOWN
]


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: FaultProxy) -> Iterator[Running]:
    with door(proxy.url) as server:
        proxy.barrier = lambda: turns(server.loop)
        yield server


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_fault_behind_the_head_is_mended_or_told(server: Running, proxy: FaultProxy, cell: Cell) -> None:
    maker = cell.maker
    assert maker is not None

    def late(call: Call) -> Script:
        return [Wait(LATE_SECONDS), *maker(speech_for(call))]

    proxy.reset(Rule(late, nth={1} if cell.others == "other_good" else None))
    settings = {**SETTINGS, **(IMPATIENT if cell.fault.stalls else {})}
    with fresh(server, proxy.url, **settings) as gateway, httpx.Client(timeout=20) as client:
        reply = read(ask(client, gateway.url, stream=True, wire=cell.wire))
        calls = proxy.settled()
        line = gateway.lines()[-1]
    (kind,) = cell.fault.kinds
    fate = FATES[kind]
    assert reply.status == line["status"] == 200
    assert reply.comments >= 2
    assert len(calls) == line["attempts"] == (2 if fate.moves else 1)
    if fate.moves and cell.others == "other_good":
        assert reply.text == "".join(words_of(calls[-1]))
        assert (reply.done, reply.error, reply.after_error, line["outcome"]) == (True, None, [], "ok")
    else:
        assert reply.error is not None
        assert reply.error["code"] == fate.code
        assert (reply.done, reply.text, reply.after_error) == (False, "", [])
        assert line["outcome"] == (fate.code or reply.error["type"])


def test_the_faults_that_are_shown_are_of_many_kinds() -> None:
    shown = {kind for cell in CELLS for kind in cell.fates}
    assert {cell.fault_name for cell in CELLS} == set(SHOWN)
    assert shown >= {Kind.SILENT, Kind.CUT, Kind.BROKEN, Kind.EMPTY, Kind.DRY, Kind.KEY_REVOKED, Kind.RATE_LIMITED}
