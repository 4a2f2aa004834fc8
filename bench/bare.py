"""The yardstick: a pass-through that relays bytes and does nothing else, on the gateway's own server and client.

uvicorn with uvloop and httptools, aiohttp towards the upstream, the collector set as the gateway sets it. No token is
checked, nothing is parsed, logged or counted. `--on-fastapi` mounts the same ASGI callable on a FastAPI app, which
shows what importing and routing through the framework costs.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PASSED_ON = frozenset({b"content-type", b"content-length"})


class PassThrough:
    """Relays every request to the upstream, path and body unchanged, and its answer's bytes as they come."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["path"] == "/health":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"OK"})
        else:
            await self._relay(scope["path"], await _body(receive), send)

    async def open(self) -> None:
        """Makes the session; needs a running loop."""
        self._session = aiohttp.ClientSession(
            self._upstream,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"authorization": "Bearer bench-key", "content-type": "application/json"},
        )
        gc.collect()
        gc.freeze()
        gc.set_threshold(20000, 50, 1000)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._session is not None:
            await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _relay(self, path: str, body: bytes, send: Send) -> None:
        if self._session is None:
            raise RuntimeError("no session: the lifespan has not begun")
        async with self._session.post(path, data=body) as answer:
            headers = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() in PASSED_ON]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if answer.content_length is not None:
                await send({"type": "http.response.body", "body": await answer.read()})
                return
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body"})


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


def on_fastapi(relay: PassThrough) -> Any:
    """The same callable as a bare ASGI route of a FastAPI app."""
    from contextlib import asynccontextmanager

    from fastapi import FastAPI
    from starlette.routing import Route

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        await relay.open()
        yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    for path in ("/v1/chat/completions", "/health"):
        app.router.routes.append(Route(path, relay, methods=["GET", "POST"]))
    return app


def main() -> None:
    """Serves as told on the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="base URL")
    parser.add_argument("--on-fastapi", action="store_true", help="mount the relay on a FastAPI app")
    options = parser.parse_args()
    relay = PassThrough(options.upstream)
    app = on_fastapi(relay) if options.on_fastapi else relay
    uvicorn.run(
        app, host="127.0.0.1", port=options.port, loop="uvloop", http="httptools",
        access_log=False, log_level="warning", server_header=False, date_header=False, proxy_headers=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
