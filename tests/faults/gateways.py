"""One server, and behind its door a gateway of its own for each cell, so that no cell hears of another."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager

from service.app import NOWHERE, open_gateway
from service.observe.log import Log
from service.observe.metrics import Metrics
from tests.running import Running, running, settings_for

START_SECONDS = 20.0


@contextmanager
def fresh(server: Running, upstream: str, **members: str) -> Iterator[Running]:
    """The same server with a new gateway, new log and new metrics, for as long as the block lasts."""
    settings = settings_for(upstream, **members)
    sink, metrics = io.BytesIO(), Metrics()
    log = Log(settings.log_level, "json", sink)
    state = server.server.lifespan.state
    before = state["gateway"]
    opened: asyncio.Future[None] | None = None
    end = asyncio.Event()

    async def live() -> None:
        assert opened is not None
        async with open_gateway(settings, log, metrics, NOWHERE) as gateway:
            state["gateway"] = gateway
            opened.set_result(None)
            await end.wait()
        state["gateway"] = before

    async def start() -> asyncio.Task[None]:
        nonlocal opened
        opened = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(live())
        await asyncio.wait([opened, task], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task

    task = server.run(start())
    try:
        yield Running(server.url, server.server, server.loop, settings, sink, metrics)
    finally:

        async def stop() -> None:
            end.set()
            await task

        server.run(stop())


async def turns(loop: asyncio.AbstractEventLoop, count: int = 6) -> None:
    """Wait until another thread's loop has gone round some times: what its sockets held then has been taken."""

    async def turn() -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(turn(), loop))


@contextmanager
def door(upstream: str) -> Iterator[Running]:
    """The server."""
    with running(upstream, listed=False) as server:
        yield server
