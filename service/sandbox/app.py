"""The sandbox as an ASGI app: bots, chat completions, the catalogue, points, uploads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.sandbox.accounts import SandboxAccount
from service.sandbox.bot_door import BotDoor
from service.sandbox.bots import add_bots
from service.sandbox.catalogue import listing
from service.sandbox.chat import ENDPOINT, ChatEndpoint
from service.sandbox.files import PREFIX
from service.sandbox.headers import poe_headers
from service.sandbox.state import Sandbox
from service.sandbox.uploads import UPLOAD_PATH, UploadEndpoints
from service.sandbox.usage import UsageEndpoints


def make_sandbox(
    *,
    keys: Mapping[str, SandboxAccount] | None = None,
    first_word_seconds: float = 0.0,
    word_seconds: float = 0.0,
    points_lag_seconds: float = 2.0,
    file_seconds: float = 600.0,
    rate_headers: bool = False,
    bot_failures: Literal["event", "status"] = "event",
    public_url: str | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """A local Poe. Its state is `sandbox_of(app)`.

    `keys` maps secrets to accounts (several may share one); None takes any key, each with an account of its own that
    never stays dry. `first_word_seconds` and `word_seconds` pace every answer. A fresh row of the points history shows
    no points for `points_lag_seconds`; files live for `file_seconds`. `rate_headers` adds Poe's optional ones.
    `bot_failures` says how a bot refuses a key, a dry account or an unknown name: as an error event in a 200, or as an
    HTTP status; which of them Poe does is not known (poe.md 11.1). `public_url` is the base of the URLs of files, None
    takes the request's Host. `clock` is in seconds since 1970.
    """
    sandbox = Sandbox(
        keys=keys,
        first_word_seconds=first_word_seconds,
        word_seconds=word_seconds,
        points_lag_seconds=points_lag_seconds,
        file_seconds=file_seconds,
        rate_headers=rate_headers,
        bot_failures=bot_failures,
        public_url=public_url,
        clock=clock,
    )
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
