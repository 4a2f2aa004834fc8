"""A streamed answer on its way out: when its head leaves, and what keeps the connection alive meanwhile.

The head waits for the first bytes of the answer, so that failures before it have a true status; at `head_seconds` it
leaves without them, with a comment behind it. Comments follow in every silence. One timer serves both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.api.asgi import Send
from service.api.render import Headers


class Pacer:
    """Sends the parts of one stream. `head` gives the headers at the moment when they leave."""

    def __init__(
        self,
        send: Send,
        head: Callable[[], Headers],
        comment: bytes,
        *,
        head_seconds: float,
        keepalive_seconds: float,
    ) -> None:
        self._send = send
        self._head = head
        self._comment = comment
        self._keepalive_seconds = keepalive_seconds
        self._loop = asyncio.get_running_loop()
        self._beating: asyncio.Task[None] | None = None
        self._writing = False
        self._sent_at = 0.0
        self.started = False
        self._timer = self._loop.call_later(head_seconds, self._tick)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a part of the body, and before the first one the head. Cancelling the last one gives up the stream."""
        if self._beating is not None and not self._beating.done():
            if last and self.started:
                self._beating.cancel()  # it waits for the caller, as this part will: nobody misses the comment
            else:
                await self._beating
        self._writing = True
        if not self.started:
            await self._start()
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        self._sent_at = self._loop.time()
        self._writing = last  # nothing may follow the last part

    async def _start(self) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": 200, "headers": self._head()})

    def _tick(self) -> None:
        wait = self._keepalive_seconds
        idle = self._loop.time() - self._sent_at
        if not self.started or idle >= wait:
            # Only one at a time: behind a reader that does not read, comments would pile up.
            if self._beating is None or self._beating.done():
                self._beating = self._loop.create_task(self._beat())
        else:
            wait -= idle
        self._timer = self._loop.call_later(max(wait, 0.01), self._tick)

    async def _beat(self) -> None:
        if self._writing:
            return
        if not self.started:
            await self._start()
        await self._send({"type": "http.response.body", "body": self._comment, "more_body": True})
        self._sent_at = self._loop.time()

    def stop(self) -> None:
        """No more comments; to be called whatever happened."""
        self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()
