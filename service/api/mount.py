"""The route table made real: each operation of the contract gets its handler, on FastAPI's router.

An operation without a handler, or a handler without an operation, stops the start. Operations that the contract does
not name open are guarded here, all of them and in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.routing import BaseRoute, Match

from service.api import catalogue, pages, probes
from service.api.admission import admit, check_head, overloaded
from service.api.asgi import App, Receive, Scope, Send
from service.api.completions import create_chat_completion
from service.contract.routes import OPERATIONS, Operation
from service.gateway import Gateway

HOT: Mapping[str, App] = {"createChatCompletion": create_chat_completion}
"""Bare ASGI: no request or response object is made on the way."""
ORDINARY: Mapping[str, Callable[..., Any]] = {
    "listModels": catalogue.list_models,
    "getModel": catalogue.get_model,
    "health": probes.health,
    "ready": probes.ready,
    "index": pages.index,
    "getContractYaml": pages.contract_yaml,
    "getContractJson": pages.contract_json,
    "getReference": pages.reference,
}


class BareRoute(BaseRoute):
    """A route that hands the request on as it came. The path was resolved before, so that it is only compared."""

    def __init__(self, operation: Operation, handler: App) -> None:
        self.operation = operation
        self.path = operation.path
        self.methods = {operation.method}
        self._handler = handler

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this is the operation that the path means."""
        return (Match.FULL, {}) if scope.get("operation") is self.operation else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard, then answer."""
        guard(scope)
        await self._handler(scope, receive, send)


def guard(scope: Scope) -> None:
    """Raise unless the request may be answered; the checks stand in the order that the interface gives them."""
    operation: Operation = scope["operation"]
    gateway: Gateway = scope["state"]["gateway"]
    if operation.security:
        scope["record"].tenant = admit(scope, gateway)
    check_head(scope, gateway)
    if operation.security:
        if gateway.draining:
            raise overloaded("This service is about to stop.")
        if gateway.open_requests > gateway.settings.max_streams:
            raise overloaded("This service is answering as many requests as it can.")


async def guarded(request: Request) -> None:
    """The guard as a dependency, for the operations that are ordinary endpoints."""
    guard(request.scope)


def mount(app: FastAPI, operations: Iterable[Operation] = OPERATIONS) -> dict[str, BareRoute]:
    """Give every operation its handler; the bare routes among them. What answers a `GET` answers its `HEAD` too."""
    bare: dict[str, BareRoute] = {}
    table = tuple(operations)
    named, handled = {operation.id for operation in table}, HOT.keys() | ORDINARY.keys()
    if named != handled:
        raise RuntimeError(
            f"contract and handlers differ: no handler for {sorted(named - handled)}, "
            f"no operation for {sorted(handled - named)}"
        )
    for operation in table:
        if operation.id in HOT:
            bare[operation.id] = BareRoute(operation, HOT[operation.id])
            app.router.routes.append(bare[operation.id])
            continue
        app.add_api_route(
            operation.path.replace("{model}", "{model:path}"),
            ORDINARY[operation.id],
            methods=["GET", "HEAD"] if operation.method == "GET" else [operation.method],
            name=operation.id,
            dependencies=[Depends(guarded)],
            response_model=None,
        )
    return bare
