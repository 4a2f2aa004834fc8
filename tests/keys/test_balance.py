"""The balance query reads Poe's answers, and every other answer is a failure that says nothing secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.errors import Failure, Kind
from service.keys import balance
from service.keys.balance import fetch_balance

SECRET = "Zq3vT8pLw5Xk2Nf7Rb9Yc4Hd6Jg1Ms0A"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def poe(answer: Answer) -> AsyncIterator[str]:
    """A server that answers the balance query and nothing else; its base URL."""
    app = web.Application()
    app.router.add_get("/usage/current_balance", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def ask(base_url: str) -> int:
    """The balance behind `SECRET`."""
    async with aiohttp.ClientSession() as session:
        return await fetch_balance(session, base_url, SECRET)


async def failure_of(status: int, body: str = "{}") -> Failure:
    """How an answer fails."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/usage/elsewhere"})

    async with poe(answer) as base_url:
        with pytest.raises(Failure) as caught:
            await ask(base_url)
    return caught.value


async def test_the_balance_is_read_and_the_key_shown_as_bearer() -> None:
    async def answer(request: web.Request) -> web.Response:
        known = request.headers["Authorization"] == f"Bearer {SECRET}"
        return web.json_response({"current_point_balance": 842500 if known else -1, "auto_recharge": {}})

    async with poe(answer) as base_url:
        assert await ask(base_url) == 842500


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "{}", Kind.KEY_REVOKED),
        (401, "<html>", Kind.KEY_REVOKED),
        (402, "{}", Kind.DRY),
        (403, '{"error": {}}', Kind.KEY_REVOKED),
        (403, "<html>blocked</html>", Kind.BROKEN),
        (429, "", Kind.RATE_LIMITED),
        (500, "{}", Kind.BROKEN),
        (302, "", Kind.BROKEN),
        (200, "", Kind.BROKEN),
        (200, "[]", Kind.BROKEN),
        (200, "{}", Kind.BROKEN),
        (200, '{"current_point_balance": true}', Kind.BROKEN),
        (200, '{"current_point_balance": "7"}', Kind.BROKEN),
        (500, '{"current_point_balance": 7}', Kind.BROKEN),
    ],
)
async def test_every_other_answer_is_a_failure_of_its_kind(status: int, body: str, kind: Kind) -> None:
    failure = await failure_of(status, body)
    assert (failure.kind, failure.status) == (kind, status)
    assert SECRET not in repr(failure)


@pytest.mark.parametrize(("number", "points"), [("0", 0), ("-3", -3), ("12.9", 12)])
async def test_a_balance_may_be_any_number(number: str, points: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f'{{"current_point_balance": {number}}}')

    async with poe(answer) as base_url:
        assert await ask(base_url) == points


async def test_a_huge_answer_is_given_up() -> None:
    failure = await failure_of(200, " " * (balance.LARGEST_ANSWER_BYTES + 1) + '{"current_point_balance": 1}')
    assert "more than a balance" in failure.message


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    monkeypatch.setattr(balance, "TIMEOUT_SECONDS", 0.05)
    async with poe(answer) as base_url:
        with pytest.raises(Failure) as caught:
            await ask(base_url)
    assert caught.value.kind is Kind.SILENT


async def test_a_closed_port_is_unreachable(unused_tcp_port: int) -> None:
    with pytest.raises(Failure) as caught:
        await ask(f"http://127.0.0.1:{unused_tcp_port}")
    assert caught.value.kind is Kind.UNREACHABLE
