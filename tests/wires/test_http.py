"""The HTTP client: every error of the transport has a meaning, and answers that are refusals are read within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import http_exceptions
from yarl import URL

from service.errors import Failure, Kind
from service.wires import http
from tests.wires.upstream import Upstream


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


ERRORS = sorted(
    {
        *subclasses(aiohttp.ClientError),
        *subclasses(http_exceptions.HttpProcessingError),
        *[ConnectionResetError, ConnectionRefusedError, BrokenPipeError, TimeoutError, OSError],
    },
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_transport_has_a_meaning(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    before, amid = http.failure_from_exception(error), http.failure_from_exception(error, answering=True)
    assert isinstance(error, http.TRANSPORT_ERRORS)
    assert before.kind in (Kind.UNREACHABLE, Kind.BROKEN, Kind.SILENT, Kind.CUT)
    assert amid.kind in (Kind.CUT, Kind.SILENT)
    assert before.message


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        (aiohttp.ClientConnectorDNSError, Kind.UNREACHABLE),
        (aiohttp.ClientConnectorCertificateError, Kind.UNREACHABLE),
        (aiohttp.ServerDisconnectedError, Kind.UNREACHABLE),
        (aiohttp.ClientConnectionResetError, Kind.UNREACHABLE),
        (aiohttp.ConnectionTimeoutError, Kind.UNREACHABLE),
        (aiohttp.SocketTimeoutError, Kind.SILENT),
        (aiohttp.ClientPayloadError, Kind.CUT),
        (aiohttp.ClientResponseError, Kind.BROKEN),
        (http_exceptions.TransferEncodingError, Kind.BROKEN),
        (ConnectionRefusedError, Kind.UNREACHABLE),
    ],
)
def test_the_common_errors_mean_what_they_say(kind: type[Exception], meaning: Kind) -> None:
    assert http.failure_from_exception(kind.__new__(kind)).kind is meaning


@asynccontextmanager
async def asking(answer: bytes, *, close: bool = True) -> AsyncIterator[tuple[aiohttp.ClientSession, URL]]:
    session = await http.open_session()
    async with Upstream([answer], close=close) as upstream, session:
        yield session, URL(upstream.url)


@pytest.mark.anyio
async def test_a_refused_connection_is_unreachable() -> None:
    async with Upstream([b""]) as upstream:
        url = URL(upstream.url)
    async with await http.open_session() as session:
        with pytest.raises(Failure) as caught:
            await http.send(session, "POST", url, headers={}, data=b"{}")
    assert caught.value.kind is Kind.UNREACHABLE
    assert "127.0.0.1" not in caught.value.message


@pytest.mark.anyio
async def test_a_connection_that_closes_without_a_word_is_unreachable() -> None:
    async with asking(b"") as (session, url):
        with pytest.raises(Failure) as caught:
            await http.send(session, "POST", url, headers={}, data=b"{}")
    assert caught.value.kind is Kind.UNREACHABLE


@pytest.mark.anyio
async def test_an_answer_that_is_not_http_is_broken() -> None:
    async with asking(b"SSH-2.0-OpenSSH_9.9\r\n\r\n") as (session, url):
        with pytest.raises(Failure) as caught:
            await http.send(session, "POST", url, headers={}, data=b"{}")
    assert caught.value.kind is Kind.BROKEN


@pytest.mark.anyio
async def test_a_redirect_is_not_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    async with asking(answer) as (session, url):
        response = await http.send(session, "POST", url, headers={}, data=b"{}")
        failure = await http.failure_from_response(response, secret="")
    assert (failure.kind, failure.status) == (Kind.BROKEN, 302)


@pytest.mark.anyio
async def test_cookies_are_neither_kept_nor_sent() -> None:
    async with Upstream([b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n"] * 2, close=False) as upstream:
        async with await http.open_session() as session:
            for _ in range(2):
                url = URL(upstream.url.replace("127.0.0.1", "localhost"))  # no jar keeps cookies of bare addresses
                (await http.send(session, "POST", url, headers={}, data=b"{}")).release()
        assert not any(b"cookie" in request.lower() for request in upstream.requests)
        assert len(upstream.requests) == 2


@pytest.mark.anyio
async def test_a_refusal_is_read_no_further_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"error": {"message": "late"}, "pad": "' + b"x" * (2 * http.MAX_ERROR_BODY_BYTES)
    answer = b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 999999999\r\n\r\n" + body
    async with asking(answer, close=False) as (session, url):
        response = await http.send(session, "POST", url, headers={}, data=b"{}")
        async with asyncio.timeout(10):
            failure = await http.failure_from_response(response, secret="")
    assert (failure.kind, failure.status, failure.retry_after) == (Kind.RATE_LIMITED, 429, 3)


@pytest.mark.anyio
async def test_a_refusal_whose_body_never_comes_is_known_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ERROR_BODY_SECONDS", 0.05)
    async with asking(b"HTTP/1.1 402 Payment Required\r\nContent-Length: 50\r\n\r\n{", close=False) as (session, url):
        response = await http.send(session, "POST", url, headers={}, data=b"{}")
        failure = await http.failure_from_response(response, secret="")
    assert failure.kind is Kind.DRY
