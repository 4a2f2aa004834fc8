"""Errors as bytes: the body in the caller's dialect, and the headers that tell a client whether to try again."""

from __future__ import annotations

from math import ceil
from random import getrandbits

import orjson

from service.dialects.chat.encode import error_body
from service.errors import Refusal

Headers = list[tuple[bytes, bytes]]

ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    501: "not_found_error",
    502: "api_error",
    504: "api_error",
}


def rendered(refusal: Refusal, request_id: str, *, anthropic: bool) -> tuple[bytes, Headers]:
    """Body and headers of an error answer."""
    body = anthropic_body(refusal, request_id) if anthropic else error_body(refusal)
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode("ascii")),
        (b"x-should-retry", b"true" if refusal.should_retry else b"false"),
    ]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(refusal.retry_after))))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in refusal.headers]
    return body, headers


def anthropic_body(refusal: Refusal, request_id: str) -> bytes:
    """An error in Anthropic's shape."""
    kind = ANTHROPIC_TYPES.get(refusal.status, "invalid_request_error")
    if refusal.status == 503:
        kind = "api_error" if refusal.code == "no_usable_key" else "overloaded_error"
    error = {"type": kind, "message": refusal.message}
    return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def new_id() -> str:
    """An id for a request that brings none, or no good one."""
    return f"req_{getrandbits(96):024x}"
