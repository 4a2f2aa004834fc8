"""GET /health and /ready: whether the process lives, and whether it takes requests."""

from __future__ import annotations

from collections import Counter

import orjson
from fastapi import Request, Response

from service.gateway import Gateway
from service.version import VERSION


async def health() -> Response:
    """The process lives. Nothing else, ever."""
    return Response("OK", media_type="text/plain")


async def ready(request: Request) -> Response:
    """Whether requests are taken. Keys in trouble do not change it: callers then deserve the true 402 or 429."""
    gateway: Gateway = request.state.gateway
    placement = gateway.placement
    told = {
        "status": "draining" if gateway.draining else "ready",
        "version": VERSION,
        "image": placement.image or None,
        "machine": placement.machine or None,
        "keys": Counter(gateway.pool.states().values()),
    }
    headers = {"retry-after": "1"} if gateway.draining else {}
    status = 503 if gateway.draining else 200
    return Response(orjson.dumps(told), status, headers=headers, media_type="application/json")
