"""What an account cannot send waits its turn or is refused with the truth, before Poe has to say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.running import TOKEN, Running, running, sandboxed

pytestmark = pytest.mark.anyio
BODY = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "hi"}]}


@asynccontextmanager
async def gateway(*, rate_headers: bool = False, **settings: str) -> AsyncIterator[tuple[httpx.AsyncClient, Running]]:
    """A gateway whose two accounts may send two requests a minute each, and a client of it."""
    settings = {"POE_LIMIT_PER_MINUTE": "2", **settings}
    with sandboxed(rate_headers=rate_headers) as (url, _), running(url, **settings) as server:
        async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            yield client, server


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for knows nothing of this test
            await asyncio.sleep(0.01)


async def test_the_request_that_would_wait_for_too_long_is_told_when_to_come_back() -> None:
    async with gateway() as (client, server):
        good = [await client.post("/v1/chat/completions", json=BODY) for _ in range(4)]
        late = await client.post("/v1/chat/completions", json=BODY)
        assert [said.status_code for said in good] == [200] * 4
        assert late.status_code == 429
        assert late.json()["error"]["type"] == "rate_limit_error"
        assert late.json()["error"]["code"] == "upstream_rate_limited"
        assert 50 <= int(late.headers["retry-after"]) <= 60
        assert late.headers["x-should-retry"] == "true"
        assert server.call(lambda: server.gateway.pool.open_leases) == 0
        assert {line["status"] for line in server.lines()} == {200, 429}


async def test_with_no_queue_nobody_waits() -> None:
    async with gateway(QUEUE_LENGTH="0", QUEUE_WAIT="2m") as (client, _):
        said = [(await client.post("/v1/chat/completions", json=BODY)).status_code for _ in range(5)]
    assert said == [200, 200, 200, 200, 429]


async def test_what_poe_says_of_the_rate_wins() -> None:
    async with gateway(rate_headers=True) as (client, _):
        bodies = [{**BODY, "stream": bool(number % 2)} for number in range(12)]
        assert {(await client.post("/v1/chat/completions", json=body)).status_code for body in bodies} == {200}


async def test_a_caller_who_leaves_the_queue_leaves_nothing_behind() -> None:
    async with gateway(QUEUE_WAIT="2m") as (client, server):
        for _ in range(4):
            await client.post("/v1/chat/completions", json=BODY)
        jobs = [asyncio.create_task(client.post("/v1/chat/completions", json=BODY)) for _ in range(3)]
        pool = server.gateway.pool
        await until(lambda: server.call(lambda: pool.waiting) == 3)
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)
        await until(lambda: server.call(lambda: server.gateway.open_requests) == 0)
        assert server.call(lambda: (pool.waiting, pool.open_leases)) == (0, 0)
        ends = [line["outcome"] for line in server.lines() if line["status"] != 200]
        assert ends == ["cancelled"] * 3
