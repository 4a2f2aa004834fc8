"""The callers: some dozens, each asking one request after the other as the dice say."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import orjson

from bench.soak.dice import Dice, Throw

HUNG_SECONDS = 30.0
"""An answer that has not ended by then never will: every wait of the gateway's is shorter here."""
KEPT_COMPLAINTS = 10
SIP_BYTES = 4096
SIP_SECONDS = 0.02
SLOW_SECONDS = 2.0
"""How long a slow reader is slow."""
UNREAD_BYTES = 4096


@dataclass(slots=True)
class Ledger:
    """How requests ended, and what should not have happened."""

    ends: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def complain(self, throw: Throw, what: str) -> None:
        """Note what no fault of the upstream excuses."""
        if len(self.complaints) < KEPT_COMPLAINTS:
            self.complaints.append(f"{throw.kind}, {throw.wire or 'any'} wire, {throw.body.get('model')}: {what}")


async def drive(url: str, token: str, dice: Dice, *, callers: int, seconds: float) -> Ledger:
    """Ask for so many seconds; what is under way then is waited for, and every connection closed."""
    ledger = Ledger()
    ends_at = time.monotonic() + seconds

    async def call() -> None:
        # Some connections are used for many requests, others for one: both ways have to leave nothing.
        connector = aiohttp.TCPConnector(limit=1, force_close=False)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=UNREAD_BYTES) as session:
            while time.monotonic() < ends_at:
                await _ask(session, url, token, dice.throw(), ledger)

    await asyncio.gather(*[call() for _ in range(callers)])
    return ledger


async def _ask(session: aiohttp.ClientSession, url: str, token: str, throw: Throw, ledger: Ledger) -> None:
    headers = {"authorization": f"Bearer {token}"} | ({"x-proxy-wire": throw.wire} if throw.wire else {})
    limit = HUNG_SECONDS if throw.leave_after is None else throw.leave_after
    try:
        async with asyncio.timeout(limit), _begun(session, url, throw, headers) as response:
            body = await (_sipped(response) if throw.kind == "slow" else response.read())
        ledger.ends[_end(throw, response.status, body, ledger)] += 1
    except TimeoutError:
        ledger.ends["left"] += 1
        if throw.leave_after is None:
            ledger.complain(throw, f"no end within {HUNG_SECONDS:.0f} s")
    except aiohttp.ClientError as error:
        ledger.ends["broken"] += 1
        ledger.complain(throw, f"the connection broke: {type(error).__name__}")


def _begun(
    session: aiohttp.ClientSession, url: str, throw: Throw, headers: dict[str, str]
) -> aiohttp.client._RequestContextManager:
    if throw.kind == "list":
        return session.get(f"{url}/models", headers=headers)
    return session.post(f"{url}/chat/completions", json=throw.body, headers=headers)


async def _sipped(response: aiohttp.ClientResponse) -> bytes:
    """A body read by a caller who is slow for a while."""
    body, began = b"", time.monotonic()
    async for part in response.content.iter_chunked(SIP_BYTES):
        body += part
        if time.monotonic() - began < SLOW_SECONDS:
            await asyncio.sleep(SIP_SECONDS)
    return body


def _end(throw: Throw, status: int, body: bytes, ledger: Ledger) -> str:
    """In one word how an answer ended; complains of one that is neither an answer nor an error."""
    if status != 200:
        if status == 500 or not _is_error(body):
            ledger.complain(throw, f"{status}: {body[:200]!r}")
        return str(status)
    if throw.kind == "list" or not throw.stream:
        return "whole"
    done, failed = body.rstrip().endswith(b"data: [DONE]"), b'data: {"error":' in body
    if done == failed:
        ledger.complain(
            throw, f"a stream with {'both' if done else 'neither'} an end {'and' if done else 'nor'} an error"
        )
    return "in-band error" if failed else "stream"


def _is_error(body: bytes) -> bool:
    try:
        return isinstance(orjson.loads(body)["error"]["message"], str)
    except (ValueError, KeyError, TypeError):
        return False
