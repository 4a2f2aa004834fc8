"""The application: FastAPI built from the contract's route table, and the gateway that opens and closes with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from service.access.tokens import Tokens
from service.api.cors import Cors
from service.api.front import Front, handle_refusals
from service.api.mount import mount
from service.attempts import Means
from service.deadline import Deadlines
from service.gateway import Gateway, Wire
from service.keys.balance import fetch_balance
from service.keys.pool import Pool
from service.keys.prober import Prober
from service.keys.strategy import STRATEGIES
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.routing.budget import RetryBudget
from service.routing.catalogue import Catalogue
from service.routing.circuits import Circuits
from service.routing.refresher import CatalogueRefresher
from service.routing.refusals import LearnedRefusals
from service.routing.route import WireName
from service.settings import Placement, Settings
from service.wires.bot import BotWire
from service.wires.chat import ChatWire
from service.wires.client import Client
from service.wires.http import open_session
from service.wires.list import fetch_models
from service.wires.opaque import OpaqueStore
from service.wires.uploads import Uploads


class State(TypedDict):
    """What the lifespan hands to every request."""

    gateway: Gateway


NOWHERE = Placement("", "", "")


def make_app(
    settings: Settings,
    *,
    log: Log | None = None,
    metrics: Metrics | None = None,
    placement: Placement = NOWHERE,
    sandboxed: bool = False,
) -> Front:
    """The whole service as one ASGI application. Nothing is opened before its lifespan starts.

    `sandboxed`: the upstream is the sandbox, which every answer then says.
    """
    lines = log or Log(settings.log_level, settings.log_format)
    series = metrics or Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with open_gateway(settings, lines, series, placement) as gateway:
            gateway.sandboxed = sandboxed
            yield {"gateway": gateway}

    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    bare = mount(app)
    handle_refusals(app)
    return Front(app, Cors(settings.cors_origins), bare)


@asynccontextmanager
async def open_gateway(settings: Settings, log: Log, metrics: Metrics, placement: Placement) -> AsyncIterator[Gateway]:
    """A gateway with its connections and its background tasks, all of them gone when the block ends."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(await open_session())
        client = await stack.enter_async_context(Client())
        overrides = {name: override.wire for name, override in settings.models.items()}
        catalogue = Catalogue(unknown_models=settings.unknown_models, overrides=overrides)
        pool = Pool(
            settings.poe_api_keys,
            rest_max=settings.rest_max,
            choose=STRATEGIES[settings.key_strategy](),
            limit_per_minute=settings.poe_limit_per_minute,
            queue_length=settings.queue_length,
            queue_wait=settings.queue_wait,
        )
        deadlines, opaque = Deadlines(), OpaqueStore()
        metrics.watch_keys(pool.states, pool.points)
        wires: dict[WireName, Wire] = {
            "chat": ChatWire(client, settings.poe_base_url, deadlines, opaque),
            "bot": BotWire(
                client,
                settings.poe_base_url,
                Uploads(session, settings.poe_upload_url),
                deadlines=deadlines,
                opaque=opaque,
            ),
        }
        tokens = Tokens(settings.access_tokens)
        circuits = Circuits(settings.breaker_failures)
        means = Means(settings, catalogue, pool, LearnedRefusals(), circuits, RetryBudget())
        gateway = Gateway(means, wires, metrics, tokens, log, placement, deadlines)
        refresher = CatalogueRefresher(catalogue, lambda: fetch_models(session, settings.poe_base_url))
        prober = Prober(pool, lambda secret: fetch_balance(session, settings.poe_base_url, secret))
        for job in (refresher.run(), prober.run(), gateway.keep_telling()):
            stack.push_async_callback(_stop, asyncio.create_task(job))
        yield gateway


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
