"""Uploads: what is sent to Poe, once for each content and key, within bounds, and stopped when nobody waits."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.errors import Failure, Kind
from service.prompt import MediaPart
from service.wires import uploads
from service.wires.bot_request import Attachment
from service.wires.http import open_session
from service.wires.uploads import Uploads, refuses_attachment
from tests.clock import Clock
from tests.wires.calls import SECRET
from tests.wires.upstream import Hold, Script, Upstream, Wait, answer

DONE = b'{"attachment_url": "https://u/1", "mime_type": "image/png", "size": 3}'
OK = answer("200 OK", DONE)
PNG = MediaPart("image", data=b"png", media_type="image/png")


@asynccontextmanager
async def opened(*scripts: Script, clock: Clock | None = None) -> AsyncIterator[tuple[Uploads, Upstream]]:
    async with Upstream(scripts, close=False) as upstream, await open_session() as session:
        yield Uploads(session, f"{upstream.url}/upload", clock=clock or Clock()), upstream


async def attach(found: Uploads, *parts: MediaPart, key: str = "k1") -> list[Attachment]:
    attached = await found.attach(parts, key_name=key, secret=SECRET)
    return [attached[id(part)] for part in parts]


@pytest.mark.anyio
async def test_bytes_are_sent_as_a_file_with_the_bare_key() -> None:
    part = MediaPart("file", data=b"%PDF", media_type="application/pdf", name='../a "b" 你\r\n.pdf')
    async with opened(OK) as (found, upstream):
        assert await attach(found, part) == [Attachment("https://u/1", "image/png", "a b 你.pdf")]
    head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /upload HTTP/1.1")
    assert f"\r\nAuthorization: {SECRET}\r\n".encode() in head
    assert b"multipart/form-data" in head
    assert 'name="file"; filename="a b 你.pdf"'.encode() in body
    assert b"\r\n\r\n%PDF\r\n" in body


@pytest.mark.anyio
async def test_a_url_is_sent_for_poe_to_fetch() -> None:
    async with opened(OK) as (found, upstream):
        attached = await attach(found, MediaPart("image", url="https://example.com/p/c%20t.png?x=1"))
    assert attached == [Attachment("https://u/1", "image/png", "c t.png")]
    assert upstream.requests[0].endswith(b"\r\n\r\ndownload_url=https%3A%2F%2Fexample.com%2Fp%2Fc%2520t.png%3Fx%3D1")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"data:image/png;base64,{base64.b64encode(b'png').decode()}", b"\r\n\r\npng\r\n"),
        ("DATA:text/plain;charset=utf-8;BASE64,aGk%3D", b"\r\n\r\nhi\r\n"),
        ("data:,a%20b", b"\r\n\r\na b\r\n"),
    ],
)
async def test_a_data_url_is_sent_as_its_bytes(url: str, sent: bytes) -> None:
    async with opened(OK) as (found, upstream):
        await attach(found, MediaPart("image", url=url))
    assert sent in upstream.requests[0]


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["data:image/png;base64,???", "data:nonsense", "data:a;base64,x"])
async def test_a_data_url_that_is_none_is_the_requests_fault(url: str) -> None:
    async with opened(OK) as (found, upstream):
        with pytest.raises(Failure) as caught:
            await attach(found, MediaPart("image", url=url))
    assert caught.value.kind is Kind.BAD_REQUEST
    assert not upstream.requests


@pytest.mark.anyio
async def test_the_same_content_is_uploaded_once_for_each_key_and_eight_minutes() -> None:
    clock = Clock(0.0)
    big = MediaPart("file", data=b"x" * uploads.HASH_ASIDE_FROM_BYTES)
    async with opened(OK, clock=clock) as (found, upstream):
        for part in (PNG, MediaPart("image", data=b"png", media_type="image/png", name="other"), big, big):
            await attach(found, part)
        assert len(upstream.requests) == 2
        await attach(found, PNG, key="k2")
        assert len(upstream.requests) == 3
        clock.now = 479
        await attach(found, PNG)
        assert len(upstream.requests) == 3
        clock.now = 481
        await attach(found, PNG)
        assert len(upstream.requests) == 4


@pytest.mark.anyio
async def test_each_part_keeps_its_own_name() -> None:
    same = MediaPart("image", data=b"png", media_type="image/png", name="two.png")
    async with opened(OK) as (found, _):
        assert [each.name for each in await attach(found, PNG, same)] == ["image.png", "two.png"]


@pytest.mark.anyio
async def test_what_is_forgotten_is_uploaded_again() -> None:
    async with opened(OK) as (found, upstream):
        await attach(found, PNG)
        await found.forget([PNG], key_name="k2")
        await attach(found, PNG)
        assert len(upstream.requests) == 1
        await found.forget([PNG], key_name="k1")
        await attach(found, PNG)
        assert len(upstream.requests) == 2


@pytest.mark.anyio
async def test_no_more_uploads_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_KEPT", 3)
    parts = [MediaPart("file", data=b"%d" % i) for i in range(5)]
    async with opened(OK) as (found, upstream):
        for part in parts:
            await attach(found, part)
        await attach(found, *parts[2:])
        assert len(upstream.requests) == 5
        await attach(found, parts[0])
        assert len(upstream.requests) == 6


@pytest.mark.anyio
async def test_those_who_need_the_same_upload_share_it() -> None:
    async with opened([Wait(0.1), OK]) as (found, upstream):
        attached = await asyncio.gather(*[attach(found, PNG, PNG) for _ in range(5)])
    assert len(upstream.requests) == 1
    assert {each.url for pair in attached for each in pair} == {"https://u/1"}


async def came(upstream: Upstream, requests: int) -> None:
    async with asyncio.timeout(10):
        while len(upstream.requests) < requests:  # noqa: ASYNC110 - an upstream sets no event
            await asyncio.sleep(0.005)


@pytest.mark.anyio
async def test_an_upload_goes_on_while_anybody_waits_and_stops_when_nobody_does() -> None:
    go_on = asyncio.Event()
    async with opened([Hold(go_on), OK], [Wait(30)]) as (found, upstream):
        first, second = [asyncio.ensure_future(attach(found, PNG)) for _ in range(2)]
        await came(upstream, 1)
        first.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        assert (await second)[0].url == "https://u/1"
        assert first.cancelled()
        third = asyncio.ensure_future(attach(found, MediaPart("file", data=b"other")))
        await came(upstream, 2)
        third.cancel()
        await asyncio.wait_for(upstream.gone.wait(), 10)
        assert not found._running


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answer("401 Unauthorized", b"Invalid key"), Kind.KEY_REVOKED),
        (answer("402 Payment Required", b"{}"), Kind.DRY),
        (answer("413 Too Large", b""), Kind.BAD_REQUEST),
        (answer("400 Bad Request", b'{"error": "could not fetch the URL"}'), Kind.BAD_REQUEST),
        (answer("404 Not Found", b"<html><body>nginx</body></html>"), Kind.BROKEN),
        (answer("429 Too Many", b""), Kind.RATE_LIMITED),
        (answer("500 Oops", b""), Kind.BROKEN),
        (answer("302 Found", b"", headers="Location: http://127.0.0.1:9/\r\n"), Kind.BROKEN),
        (answer("200 OK", b"no json"), Kind.BROKEN),
        (answer("200 OK", b'{"mime_type": "a/b"}'), Kind.BROKEN),
        (answer("200 OK", b'{"attachment_url": "javascript:1"}'), Kind.BROKEN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", Kind.BROKEN),
        (b"", Kind.UNREACHABLE),
    ],
)
async def test_a_failed_upload_is_a_failure_of_its_kind_and_not_remembered(script: Script, kind: Kind) -> None:
    async with Upstream([script, OK]) as upstream, await open_session() as session:
        found = Uploads(session, upstream.url)
        with pytest.raises(Failure) as caught:
            await attach(found, PNG)
        assert caught.value.kind is kind
        assert SECRET not in caught.value.message
        assert "<" not in caught.value.message
        assert await attach(found, PNG)


@pytest.mark.anyio
async def test_one_failed_upload_stops_the_others() -> None:
    parts = [MediaPart("file", data=b"%d" % i) for i in range(4)]
    async with opened(answer("400 Bad Request", b"no"), [Wait(30)]) as (found, upstream):
        with pytest.raises(Failure):
            await asyncio.wait_for(attach(found, *parts), 10)
        await asyncio.wait_for(upstream.gone.wait(), 10)


@pytest.mark.anyio
async def test_an_upload_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 0.1)
    async with opened([Wait(30)]) as (found, _):
        with pytest.raises(Failure) as caught:
            await attach(found, PNG)
    assert caught.value.kind is Kind.SILENT


@pytest.mark.anyio
async def test_too_much_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 10)
    async with opened(OK) as (found, upstream):
        for parts in ([MediaPart("file", data=b"x" * 11)], [PNG] * 101):
            with pytest.raises(Failure) as caught:
                await attach(found, *parts)
            assert caught.value.kind is Kind.BAD_REQUEST
    assert not upstream.requests


@pytest.mark.anyio
async def test_a_large_file_is_sent_whole() -> None:
    data = bytes(range(256)) * 12_000
    async with opened(OK) as (found, upstream):
        await attach(found, MediaPart("file", data=data))
    assert data in upstream.requests[0]


@pytest.mark.parametrize(
    ("message", "refuses"),
    [
        ("The attachment URL has expired.", True),
        ("Failed to download file from https://x", True),
        ("Unable to fetch the image", True),
        ("Uploaded file not found", True),
        (f"Attachment https://x.org/{'a' * 100}?w=1 could not be downloaded", True),
        ("Attachment 'my report.pdf' couldn’t be downloaded", True),
        ("Please attach an image", False),
        ("See the attachment: " + "it says a lot and more. " * 10 + "I cannot draw that", False),
        ("Internal server error", False),
        ("I cannot draw that", False),
    ],
)
def test_refusals_of_attachments_are_told_by_their_words(message: str, refuses: bool) -> None:
    assert refuses_attachment(message) is refuses
