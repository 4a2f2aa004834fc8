"""Answers that were read to their last event and are left to end by themselves, so that their connections are kept."""

from __future__ import annotations

import asyncio

import aiohttp

LINGER_SECONDS = 2.0
"""What an upstream has, after its last event, to end the body; then the connection is closed instead of kept."""


class Connector(aiohttp.TCPConnector):
    """The connections of the process. aiohttp gives one back by itself when its answer ends; the others end here."""

    def __init__(self, *, limit: int, dns_cache_seconds: int, idle_seconds: float) -> None:
        super().__init__(limit=limit, ttl_dns_cache=dns_cache_seconds, keepalive_timeout=idle_seconds)
        self._lingering: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}

    def linger(self, response: aiohttp.ClientResponse) -> None:
        """Let an answer end by itself, within LINGER_SECONDS."""
        loop = asyncio.get_running_loop()
        self._lingering[response] = loop.call_later(LINGER_SECONDS, self._cut, response)
        response.content.on_eof(lambda: self._ended(response))

    def _ended(self, response: aiohttp.ClientResponse) -> None:
        timer = self._lingering.pop(response, None)
        if timer is not None:
            timer.cancel()

    def _cut(self, response: aiohttp.ClientResponse) -> None:
        self._lingering.pop(response, None)
        response.close()

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, those of lingering answers too."""
        for response, timer in self._lingering.items():
            timer.cancel()
            response.close()
        self._lingering.clear()
        await super().close(abort_ssl=abort_ssl)


def let_go(session: aiohttp.ClientSession, response: aiohttp.ClientResponse, *, whole: bool) -> None:
    """Be done with an answer: `whole` where its last event was read, else its connection is closed at once."""
    connector = session.connector
    if whole and not response.content.at_eof() and isinstance(connector, Connector):
        connector.linger(response)
    else:
        response.close()
