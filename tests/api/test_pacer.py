"""The parts of a stream where its caller does not take them."""

from __future__ import annotations

import asyncio

import pytest

from service.api.asgi import Message
from service.api.pacer import Pacer


@pytest.mark.anyio
async def test_the_last_part_does_not_wait_for_a_comment_that_nobody_takes() -> None:
    sent: list[bytes] = []
    stuck = asyncio.Event()

    async def send(message: Message) -> None:
        if message.get("body") == b": comment":
            stuck.set()
            await asyncio.Event().wait()
        sent.append(message.get("body", b"head"))

    pacer = Pacer(send, list, b": comment", head_seconds=0.01, keepalive_seconds=0.01)
    await pacer.write(b"first")
    await asyncio.wait_for(stuck.wait(), 5)
    await asyncio.wait_for(pacer.write(b"last", last=True), 5)
    pacer.stop()
    assert sent == [b"head", b"first", b"last"]
