"""Faults of the place where attachments are uploaded: like any other they move to the next key, or are told truly."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import orjson
import pytest

from service.errors import Kind
from service.wires.uploads import MAX_REPLY_BYTES
from tests.faults.gateways import door, fresh
from tests.faults.proxy import Call, FaultProxy, Fin, Repeat, Rule, Script
from tests.faults.reply import ask, read
from tests.faults.speech import STREAM_HEAD, framed, right, words_of
from tests.faults.table import FATES, HTML, PAGE, error
from tests.faults.test_bounds import KERNEL_BYTES
from tests.running import Running
from tests.wires.upstream import Reset, answer

IMAGE = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + b"x" * 20_000).decode()
MESSAGES = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}]
ENDLESS = [STREAM_HEAD.replace(b"text/event-stream", b"application/json"), Repeat(framed(b" " * 50_000))]
FAULTS: dict[str, tuple[Kind, Script]] = {
    "401": (Kind.KEY_REVOKED, [answer("401 Unauthorized", orjson.dumps(error("Invalid API key")))]),
    "402": (Kind.DRY, [answer("402 Payment Required", b"{}")]),
    "413": (Kind.BAD_REQUEST, [answer("413 Payload Too Large", b"{}")]),
    "429": (Kind.RATE_LIMITED, [answer("429 Too Many Requests", b"{}")]),
    "500": (Kind.BROKEN, [answer("500 Internal Server Error", b"{}")]),
    "502_page": (Kind.BROKEN, [answer("502 Bad Gateway", PAGE, HTML)]),
    "fin": (Kind.UNREACHABLE, [Fin()]),
    "rst": (Kind.UNREACHABLE, [Reset()]),
    "garbage": (Kind.BROKEN, [answer("200 OK", b'{"attachment')]),
    "endless": (Kind.BROKEN, ENDLESS),
}


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: FaultProxy) -> Iterator[Running]:
    with door(proxy.url) as server:
        yield server


def uploaded(call: Call) -> Script:
    return [answer("200 OK", b'{"attachment_url":"https://files.example/a","mime_type":"image/png"}')]


@pytest.mark.parametrize("others", ["other_good", "none_good"])
@pytest.mark.parametrize("name", FAULTS)
def test_an_upload_that_fails_is_mended_or_told(server: Running, proxy: FaultProxy, name: str, others: str) -> None:
    kind, script = FAULTS[name]
    fate = FATES[kind]
    nth = {1} if others == "other_good" else None
    proxy.reset(Rule(lambda call: script, wire="upload", nth=nth), Rule(uploaded, wire="upload"))
    with fresh(server, proxy.url) as gateway, httpx.Client(timeout=20) as client:
        reply = read(ask(client, gateway.url, stream=True, wire="bot", messages=MESSAGES))
        uploads = [call for call in proxy.calls if call.wire == "upload"]
        proxy.wait(lambda: all(call.end for call in uploads))
        states = gateway.call(gateway.gateway.pool.states)
        line = gateway.lines()[-1]
    assert len({call.key for call in uploads}) == len(uploads) == line["attempts"] == (2 if fate.moves else 1)
    assert max(call.sent for call in uploads) < MAX_REPLY_BYTES + KERNEL_BYTES
    assert states["first"] == fate.state
    if fate.moves and others == "other_good":
        assert (reply.done, reply.text) == (True, "".join(words_of(proxy.asked()[-1])))
        assert line["outcome"] == "ok"
    else:
        assert reply.error is not None
        assert (reply.status, reply.error["code"]) == (fate.status, fate.code)
        assert proxy.asked() == [], "the bot was asked without what it is asked about"
