"""Fetching Poe's list of models. It is public: no key is spent on it."""

from __future__ import annotations

import aiohttp
from yarl import URL

from service.errors import Failure, Kind
from service.wires.http import TRANSPORT_ERRORS, failure_from_exception, failure_from_response, send

MAX_LIST_BYTES = 16 * 1024 * 1024


async def fetch_models(session: aiohttp.ClientSession, base_url: str) -> bytes:
    """The body of `GET /v1/models`; raises `Failure`."""
    url = URL(f"{base_url}/v1/models", encoded=True)
    response = await send(session, "GET", url, headers={"Accept": "application/json"})
    if response.status != 200:
        raise await failure_from_response(response, secret="")
    parts, size = [], 0
    try:
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > MAX_LIST_BYTES:
                raise Failure(Kind.BROKEN, "The model list is too large.")
            parts.append(chunk)
    except TRANSPORT_ERRORS as error:
        raise failure_from_exception(error, answering=True) from error
    finally:
        response.close()
    return b"".join(parts)
