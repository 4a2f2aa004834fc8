"""Small pieces of ASGI: reading a bounded body, sending whole answers, noticing that the caller has left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024 * 1024

# What Cloudflare puts before a backend that is down.
_HTML = "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>Error {status}</h1>cloudflare</body></html>"


class BodyTooLarge(Exception):
    """The request's body is over MAX_BODY_BYTES."""


class CallerLeft(Exception):
    """The connection ended before the body was whole."""


async def read_body(receive: Receive) -> bytes:
    """The whole request body."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerLeft
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body)


def secret_of(scope: Scope) -> str:
    """The key that the request shows, with `Bearer` or, as for uploads, without (poe.md 1.8)."""
    shown = Headers(scope=scope).get("authorization", "")
    return shown[len("bearer ") :].strip() if shown[:7].lower() == "bearer " else shown.strip()


def base_url(scope: Scope, public_url: str | None) -> str:
    """Where the caller reaches this sandbox, without a slash at the end."""
    host = Headers(scope=scope).get("host", "127.0.0.1")
    return public_url.rstrip("/") if public_url else f"{scope['scheme']}://{host}"


async def send_head(send: Send, status: int, content_type: str, headers: Mapping[str, str]) -> None:
    """The head of an answer."""
    pairs = {**headers, "content-type": content_type}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def send_whole(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> None:
    """A whole answer with its length."""
    await send_head(send, status, content_type, {**(headers or {}), "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
    """A whole JSON answer."""
    await send_whole(send, status, json.dumps(value).encode(), headers=headers)


async def send_html_error(send: Send, status: int) -> None:
    """An error that is a web page."""
    page = _HTML.format(status=status).encode()
    await send_whole(send, status, page, content_type="text/html; charset=UTF-8")


async def until_caller_leaves(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; stop it at once when the caller leaves. Returns whether it came to its end."""
    worker = asyncio.create_task(work)
    watcher = asyncio.create_task(_departure(receive))
    try:
        await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not worker.done():
            return False
        worker.result()
        return True
    finally:
        worker.cancel()
        watcher.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
