"""What a request must pass before its handler sees it: its token, the size of its head, its body."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from service.access.credentials import token_from
from service.api.asgi import Receive, Scope
from service.errors import Refusal
from service.gateway import Gateway

HEAD_TOO_LARGE = "poe_proxy.head_too_large"
"""Set in the scope by the server where it stopped reading the head."""
CLOSE = (("connection", "close"),)


def admit(scope: Scope, gateway: Gateway) -> str:
    """The tenant; raises the 401, then the 431."""
    bearer: bytes = scope["header_map"].get(b"authorization", b"")
    token = bearer[7:] if bearer.startswith(b"Bearer ") else None  # as nearly everybody sends it
    token = token or token_from(scope["headers"], scope["query_string"])
    tenant = gateway.tokens.tenant_for(token, time.time()) if token else None
    if tenant is None:
        said = "This access token is not valid." if token else "An access token is missing."
        raise Refusal(401, f"{said} Send it as `Authorization: Bearer TOKEN`.", code="invalid_api_key")
    return tenant


def check_head(scope: Scope, gateway: Gateway) -> None:
    """Raise the 431 where the head is too large."""
    if scope.get(HEAD_TOO_LARGE):
        limit = gateway.settings.max_header
        message = f"The head of the request is larger than {limit} bytes."
        raise Refusal(431, message, code="headers_too_large", headers=CLOSE)


class Body:
    """The request's body: read once, counted against the bodies of all requests in flight until `release`.

    `arrived` tells whether all of it is here. Whoever reads limits the time.
    """

    __slots__ = ("_counted", "_gateway", "arrived")

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._counted = 0
        self.arrived = False

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """All of it; raises the 413, 415 or 503."""
        announced = headers.get(b"content-length")
        if announced is not None:
            self._count(int(announced) if announced.isdigit() else 0)
        check_content_type(headers.get(b"content-type"))
        message = await receive()
        body: bytes = message.get("body", b"")
        self._count(len(body))
        if message.get("more_body"):
            body = await self._rest(body, receive)
        self.arrived = True
        return body

    async def _rest(self, body: bytes, receive: Receive) -> bytes:
        parts, size, more = [body], len(body), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._count(size)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _count(self, size: int) -> None:
        """Raise the count of this body to `size` bytes, if the limits allow."""
        if size <= self._counted:
            return
        gateway, settings = self._gateway, self._gateway.settings
        if size > settings.max_body:
            message = f"The body is larger than {settings.max_body} bytes."
            raise Refusal(413, message, code="request_too_large", headers=CLOSE)
        if gateway.body_bytes + size - self._counted > settings.max_body_total:
            raise overloaded("Too many large requests are being answered.", headers=CLOSE)
        gateway.body_bytes += size - self._counted
        self._counted = size

    def release(self) -> None:
        """Give the bytes back."""
        self._gateway.body_bytes -= self._counted
        self._counted = 0


def check_content_type(value: bytes | None) -> None:
    """Raise the 415 for anything but JSON; none at all is taken as JSON."""
    if value is None or value == b"application/json":
        return
    media_type = value.decode("latin-1").partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        message = "The body must be JSON: send `Content-Type: application/json`."
        raise Refusal(415, message, code="unsupported_media_type", headers=CLOSE)


def late_body() -> Refusal:
    """The 408 of a request whose body does not come."""
    message = "The body of the request did not arrive in time."
    return Refusal(408, message, code="request_timeout", headers=CLOSE)


def too_slow() -> Refusal:
    """The 504 of a request whose time is over."""
    message = "The answer took longer than this service allows for one request."
    return Refusal(504, message, type_="server_error", code="upstream_timeout")


def overloaded(message: str, **members: Any) -> Refusal:
    """The 503 of a process that is full or about to end."""
    return Refusal(503, message, type_="server_error", code="overloaded", retry_after=1, should_retry=True, **members)
