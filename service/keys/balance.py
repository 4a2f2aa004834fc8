"""The free question that tells whether a key works and how many points its account has."""

from __future__ import annotations

import aiohttp
import orjson

from service.errors import Failure, Kind

TIMEOUT_SECONDS = 15.0
LARGEST_ANSWER_BYTES = 1 << 16
_KINDS = {401: Kind.KEY_REVOKED, 402: Kind.DRY, 403: Kind.KEY_REVOKED, 429: Kind.RATE_LIMITED}


async def fetch_balance(session: aiohttp.ClientSession, base_url: str, secret: str) -> int:
    """The points of the account behind a key; costs none. Raises `Failure`, of kind `KEY_REVOKED` for a bad key."""
    try:
        async with session.get(
            f"{base_url}/usage/current_balance",
            headers={"Authorization": f"Bearer {secret}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            allow_redirects=False,
        ) as response:
            body = await _limited_body(response)
    except TimeoutError:
        raise Failure(Kind.SILENT, "Poe did not answer the balance query in time.") from None
    except aiohttp.ClientError:
        raise Failure(Kind.UNREACHABLE, "Poe could not be reached for the balance query.") from None
    return _points(response.status, body)


def _points(status: int, body: bytes) -> int:
    """The points that an answer tells."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    # A 403 that is no JSON is the page of some firewall before Poe's API and says nothing of the key.
    if status in _KINDS and (status != 403 or isinstance(answer, dict)):
        raise Failure(_KINDS[status], f"Poe answered the balance query with {status}.", status=status)
    points = answer.get("current_point_balance") if status == 200 and isinstance(answer, dict) else None
    if isinstance(points, bool) or not isinstance(points, (int, float)):
        raise Failure(Kind.BROKEN, f"Poe answered the balance query with {status} and no balance.", status=status)
    return int(points)


async def _limited_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > LARGEST_ANSWER_BYTES:
            raise Failure(Kind.BROKEN, "Poe answered the balance query with more than a balance.")
    return bytes(body)
