"""Two gateways as one should not write them: one passes everything through, one does whatever it takes to answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from bench.failover.faults import OK

TRIES = 10
LEFT_FOR_A_CIRCUIT = 5
DONE = b"data: [DONE]"


class Naive:
    """No retry, no fallback, no timeout; ends what was cut as if it were whole."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.url = f"{upstream}/v1/chat/completions"
        self.session = session

    async def answer(self, request: web.Request) -> web.StreamResponse:
        try:
            async with self.session.post(self.url, data=await request.read()) as reply:
                if reply.status != 200:
                    return web.Response(status=reply.status, body=await reply.read())
                answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
                await answer.prepare(request)
                try:
                    async for part in reply.content.iter_any():
                        await answer.write(part)
                except aiohttp.ClientPayloadError:
                    pass
                return answer
        except aiohttp.ClientConnectionError:
            return web.json_response({"error": {"message": "The provider is gone."}}, status=502)


class Eager(Naive):
    """Asks ten times without a pause, falls back on everything, goes on with another answer where one broke, says that
    the asked model answered, and takes callers who leave for failures of the model.
    """

    left = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked = body["model"]
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        models = [OK] if self.left >= LEFT_FOR_A_CIRCUIT else [asked] * TRIES + [OK]
        try:
            for model in models:
                if await self._told(request, answer, {**body, "model": model}, asked):
                    break
            await answer.write(DONE + b"\n\n")
        except aiohttp.ClientConnectionResetError:
            self.left += 1
        return answer

    async def _told(self, request: web.Request, answer: web.StreamResponse, body: dict[str, str], asked: str) -> bool:
        done = False
        try:
            async with self.session.post(self.url, json=body) as reply:
                if reply.status != 200:
                    return False
                await answer.prepare(request)
                async for line in reply.content:
                    done = done or line.startswith(DONE)
                    if not done:
                        await answer.write(line.replace(body["model"].encode(), asked.encode()))
        except aiohttp.ClientConnectionResetError:
            raise
        except aiohttp.ClientError:
            return False
        return done


@asynccontextmanager
async def serving(kind: type[Naive], upstream_port: int) -> AsyncIterator[str]:
    """One of them in front of an upstream; its base URL."""
    async with aiohttp.ClientSession() as session:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", kind(f"http://127.0.0.1:{upstream_port}", session).answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            assert site._server is not None
            yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[attr-defined]
        finally:
            await runner.cleanup()
