"""The HTTP client of the cold requests: how it is opened, how it sends, and what its errors mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from io import BytesIO
from typing import Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from service.errors import Failure, Kind
from service.wires.client import (
    CONNECT_SECONDS,
    DNS_CACHE_SECONDS,
    IDLE_CONNECTION_SECONDS,
    MAX_CONNECTIONS,
    SOCKET_CONNECT_SECONDS,
)
from service.wires.connection import BROKE_BEFORE, BROKE_OFF, NOT_HTTP
from service.wires.refusals import failure_from_error, failure_from_status

__all__ = [
    "TRANSPORT_ERRORS",
    "failure_from_error",
    "failure_from_exception",
    "failure_from_response",
    "failure_from_status",
    "open_session",
    "send",
]

LARGEST_SINGLE_WRITE_BYTES = 1024 * 1024
"""A larger body is written piece by piece, so that it does not keep the event loop."""
MAX_ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_SECONDS = 5.0
"""For the body of a refusal; what came until then has to do."""

TRANSPORT_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError)
"""Everything that sending and reading may raise; `failure_from_exception` says what it means. TimeoutError is in it."""

MEANINGS: tuple[tuple[type[Exception], Kind, str], ...] = (
    (aiohttp.ClientPayloadError, Kind.CUT, BROKE_OFF),
    (aiohttp.ConnectionTimeoutError, Kind.UNREACHABLE, "No connection to Poe came about in time."),
    (aiohttp.ServerTimeoutError, Kind.SILENT, "Poe was silent for too long."),
    (aiohttp.ClientConnectorDNSError, Kind.UNREACHABLE, "Poe's name could not be looked up."),
    (aiohttp.ClientConnectorCertificateError, Kind.UNREACHABLE, "Poe's certificate could not be verified."),
    (aiohttp.ClientSSLError, Kind.UNREACHABLE, "No secure connection to Poe came about."),
    (aiohttp.ServerFingerprintMismatch, Kind.UNREACHABLE, "Poe's certificate could not be verified."),
    (aiohttp.ClientConnectorError, Kind.UNREACHABLE, "No connection to Poe came about."),
    (aiohttp.ClientConnectionError, Kind.UNREACHABLE, BROKE_BEFORE),
    (aiohttp.InvalidURL, Kind.UNREACHABLE, "The upstream's address is not valid."),
    (aiohttp.ClientResponseError, Kind.BROKEN, NOT_HTTP),
    (aiohttp.ClientError, Kind.UNREACHABLE, BROKE_BEFORE),
    (HttpProcessingError, Kind.BROKEN, NOT_HTTP),
    (ssl.SSLError, Kind.UNREACHABLE, "No secure connection to Poe came about."),
    (TimeoutError, Kind.SILENT, "Poe was silent for too long."),
    (OSError, Kind.UNREACHABLE, BROKE_BEFORE),
)
"""What each error of the transport means; the first whose class fits. Their own texts hold addresses: never shown."""


async def open_session() -> aiohttp.ClientSession:
    """The session that uploads, balances and the model list share; to be closed by whoever opened it."""
    connector = aiohttp.TCPConnector(
        limit=MAX_CONNECTIONS, ttl_dns_cache=DNS_CACHE_SECONDS, keepalive_timeout=IDLE_CONNECTION_SECONDS
    )
    timeout = aiohttp.ClientTimeout(
        total=None, connect=CONNECT_SECONDS, sock_connect=SOCKET_CONNECT_SECONDS, sock_read=None
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Compression would hold back the events of a stream until a block of it is full.
        headers={"Accept-Encoding": "identity", "User-Agent": "poe-proxy"},
        auto_decompress=True,
    )


async def send(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: Mapping[str, str],
    data: bytes | BytesIO | aiohttp.FormData | None = None,
) -> aiohttp.ClientResponse:
    """The head of the answer, whatever its status; redirects are not followed. Raises Failure when none came."""
    if isinstance(data, bytes) and len(data) > LARGEST_SINGLE_WRITE_BYTES:
        data = BytesIO(data)
    try:
        return await session.request(method, url, headers=headers, data=data, allow_redirects=False)
    except TRANSPORT_ERRORS as error:
        raise failure_from_exception(error) from error


def failure_from_exception(error: Exception, *, answering: bool = False) -> Failure:
    """What an error of the transport means. `answering`: the head had come, so what broke is the answer."""
    kind, message = next((kind, message) for kind_of, kind, message in MEANINGS if isinstance(error, kind_of))
    if answering and kind in (Kind.UNREACHABLE, Kind.BROKEN):
        return Failure(Kind.CUT, BROKE_OFF)
    return Failure(kind, message)


class Content(Protocol):
    """The body of an answer of either client."""

    async def readany(self) -> bytes:
        """Some bytes; none at the end."""


class Response(Protocol):
    """An answer of either client."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> Content: ...

    def close(self) -> object:
        """Be done with it."""


async def failure_from_response(response: Response, *, secret: str) -> Failure:
    """What an answer that is not the asked one means; reads a bounded part of its body and closes it."""
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            while len(body) < MAX_ERROR_BODY_BYTES:
                chunk = await response.content.readany()
                if not chunk:
                    break
                body += chunk
    except (*TRANSPORT_ERRORS, Failure):
        pass  # the status says enough
    finally:
        response.close()
    return failure_from_status(response.status, response.headers, bytes(body[:MAX_ERROR_BODY_BYTES]), secret=secret)
