"""What the head of an answer says of the account's rate."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from service.deadline import Deadlines
from service.errors import Failure
from service.routing.route import Route
from service.wires import rates
from service.wires.bot import BotWire
from service.wires.chat import ChatWire
from service.wires.client import Client
from service.wires.connection import Answer, Body
from service.wires.http import open_session
from service.wires.opaque import OpaqueStore
from service.wires.rates import Rates, rates_of
from service.wires.uploads import Uploads
from tests.wires.calls import asking
from tests.wires.upstream import Script, Upstream, event_stream
from tests.wires.upstream import answer as whole


def answer(**fields: str) -> Answer:
    """An answer whose head has some fields, an underscore for each dash."""
    loop = asyncio.new_event_loop()
    loop.close()
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Answer(200, [(b"Content-Type", b"application/json"), *lines], Body(loop))


@pytest.mark.parametrize("upper", [False, True])
def test_the_three_fields_of_the_rest_endpoints_are_read(upper: bool) -> None:
    fields = {
        "x_ratelimit_limit_requests": "500",
        "x_ratelimit_remaining_requests": "499",
        "x_ratelimit_reset_requests": "60",
    }
    given = {name.title() if upper else name: value for name, value in fields.items()}
    assert rates_of(answer(**given)) == Rates(500, 499, 60.0)


def test_the_other_family_names_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 12, 31, 23, 59, 45, tzinfo=UTC)
    monkeypatch.setattr(rates, "time", SimpleNamespace(time=now.timestamp))
    moment = now + timedelta(seconds=30)
    found = rates_of(
        answer(
            anthropic_ratelimit_requests_limit="500",
            anthropic_ratelimit_requests_remaining="0",
            anthropic_ratelimit_requests_reset=moment.isoformat(),
        )
    )
    assert found is not None
    assert found[:2] == (500, 0)
    assert found.reset_seconds == pytest.approx(30)


def test_an_answer_without_rates_tells_none() -> None:
    assert rates_of(answer(x_ratelimit_limit_tokens="100", x_request_id="req_poe_" + "0" * 32)) is None


def test_each_field_may_be_absent() -> None:
    assert rates_of(answer(x_ratelimit_remaining_requests="0")) == Rates(None, 0, None)
    assert rates_of(answer(x_ratelimit_limit_requests="7")) == Rates(7, None, None)


@pytest.mark.parametrize("value", ["", "many", "-1", "1.5", "9" * 10, "\u0663".encode().decode("latin-1"), "nan"])
def test_a_count_that_is_none_is_as_good_as_absent(value: str) -> None:
    assert rates_of(answer(x_ratelimit_remaining_requests=value)) == Rates(None, None, None)


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0.0), ("1.5", 1.5), ("1m2s", 62.0), ("20ms", 0.02), ("soon", None)]
)
def test_a_reset_is_read_in_every_way_that_is_in_use(value: str, seconds: float | None) -> None:
    assert rates_of(answer(x_ratelimit_reset_requests=value)) == Rates(None, None, seconds)


HEADERS = "X-RateLimit-Limit-Requests: 500\r\nx-ratelimit-remaining-requests: 7\r\nx-ratelimit-reset-requests: 30\r\n"
SAID = b'{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
LIMITED = whole("429 Too Many Requests", b'{"error":{"message":"slow","type":"rate_limit_error"}}', headers=HEADERS)
SCRIPTS: dict[str, dict[str, Script]] = {
    "chat": {"good": whole("200 OK", SAID, headers=HEADERS), "limited": LIMITED, "silent": whole("200 OK", SAID)},
    "bot": {
        "good": event_stream(b'event: text\ndata: {"text":"Hi"}\n\nevent: done\ndata: {}\n\n', headers=HEADERS),
        "limited": LIMITED,
        "silent": event_stream(b'event: text\ndata: {"text":"Hi"}\n\nevent: done\ndata: {}\n\n'),
    },
}


@pytest.mark.anyio
@pytest.mark.parametrize("wire", ["chat", "bot"])
@pytest.mark.parametrize("case", ["good", "limited", "silent"])
async def test_a_wire_passes_on_what_any_head_tells(wire: str, case: str) -> None:
    told: list[tuple[int | None, int | None, float | None]] = []
    async with Upstream([SCRIPTS[wire][case]]) as upstream, await open_session() as session, Client() as client:
        wires: dict[str, BotWire | ChatWire] = {
            "chat": ChatWire(client, upstream.url, Deadlines(), OpaqueStore()),
            "bot": BotWire(client, upstream.url, Uploads(session, upstream.url)),
        }
        call = replace(asking(), rates=lambda *rates: told.append(rates))
        if wire == "chat":
            call = replace(call, prompt=replace(call.prompt, stream=False), route=Route("chat", "Bot", None))
        stream = wires[wire].stream(call)
        with pytest.raises(Failure, match="slow") if case == "limited" else nullcontext():
            async for _ in stream:
                pass
    assert told == ([] if case == "silent" else [(500, 7, 30.0)])
