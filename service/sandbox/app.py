"""The sandbox as an ASGI app: bots, chat completions, the catalogue, points, uploads."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.sandbox.bot_door import BotDoor
from service.sandbox.bots import add_bots
from service.sandbox.catalogue import listing
from service.sandbox.chat import ENDPOINT, ChatEndpoint
from service.sandbox.files import PREFIX
from service.sandbox.headers import poe_headers
from service.sandbox.state import Sandbox
from service.sandbox.uploads import UPLOAD_PATH, UploadEndpoints
from service.sandbox.usage import UsageEndpoints


def make_sandbox(sandbox: Sandbox | None = None) -> FastAPI:
    """A local Poe; its state, a fresh one unless given, is `sandbox_of(app)`."""
    sandbox = sandbox or Sandbox()
    usage, uploads = UsageEndpoints(sandbox), UploadEndpoints(sandbox)
    app = FastAPI(
        title="Sandbox",
        openapi_url=None,
        routes=[
            Route("/v1/models", _models, methods=["GET"]),
            Route(ENDPOINT, ChatEndpoint(sandbox), methods=["POST"]),
            Route("/usage/current_balance", usage.balance, methods=["GET"]),
            Route("/usage/points_history", usage.history, methods=["GET"]),
            Route(UPLOAD_PATH, uploads.upload, methods=["POST"]),
            Route(f"{PREFIX}/{{kind}}/{{name}}", uploads.fetch, methods=["GET"]),
        ],
    )
    app.state.sandbox = sandbox
    app.add_middleware(BotDoor, sandbox=sandbox)
    add_bots(app, sandbox)
    return app


def sandbox_of(app: FastAPI) -> Sandbox:
    """The state of a sandbox that `make_sandbox` made."""
    sandbox: Sandbox = app.state.sandbox
    return sandbox


async def _models(request: Request) -> Response:
    """The catalogue; needs no key, as on Poe (poe.md 4.1)."""
    return JSONResponse(listing(), headers=poe_headers(seconds=0.0))
