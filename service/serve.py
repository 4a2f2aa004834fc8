"""Serving: the public listener, the metrics beside it, and where it is asked for a sandbox as the upstream."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvloop

from service.access.local_token import TENANT, LocalToken, local_token
from service.api.asgi import Receive, Scope, Send
from service.app import make_app
from service.observe.log import Level, Log
from service.observe.metrics import Metrics
from service.server import Drain, Listener, Protocol, calm_collector, config
from service.settings import KeySpec, Settings, TokenSpec, check_serving, placement

DATA = Path("data")
SANDBOX_KEY = "sandbox-key-for-a-local-poe"
SANDBOX_WORD_SECONDS = 0.02
"""Words of the sandbox come one after the other, so that a stream looks like one."""
EXIT_FAILED = 1
MAX_MESSAGE = 500


class PortBusyError(Exception):
    """A port that somebody else listens on."""


def run(settings: Settings, *, development: bool) -> int:
    """Serve until a signal comes; the exit code of the process.

    `development` takes the sandbox where there are no keys, and prints how to call the service.
    """
    if development and not settings.poe_api_keys:
        settings = replace(settings, sandbox=True)
    check_serving(settings)
    token: LocalToken | None = None
    if not settings.access_tokens:
        token = local_token(DATA)
        settings = replace(settings, access_tokens=(TokenSpec(TENANT, sha256(token.text.encode()).digest(), None),))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_serve(settings, token, development=development))
        except PortBusyError as busy:
            print(busy, file=sys.stderr)
            return EXIT_FAILED


class Bridge(logging.Handler):
    """Brings what libraries and parts of ours tell the standard logging into the one log, without any traceback:
    those quote whatever the code was about.
    """

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        if record.levelno < logging.WARNING:
            level = "info"
        members = {"error": record.exc_info[0].__name__} if record.exc_info and record.exc_info[0] else {}
        message = record.getMessage().partition("\n")[0][:MAX_MESSAGE]
        self._log.event(level, message, logger=record.name, **members)

    def install(self) -> None:
        """Take everything from INFO up of the service's own loggers, and warnings of all others."""
        logging.getLogger().addHandler(self)
        logging.getLogger("service").setLevel(logging.INFO)


async def _serve(settings: Settings, token: LocalToken | None, *, development: bool) -> int:
    log = Log(settings.log_level, settings.log_format)
    Bridge(log).install()
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(bind(settings.host, settings.port, "--port"))
        if settings.sandbox:
            settings = await stack.enter_async_context(_with_sandbox(settings))
        metrics = Metrics()
        if settings.metrics_port:
            await stack.enter_async_context(_metrics(settings, metrics, log, optional=development))
        app = make_app(settings, log=log, metrics=metrics, placement=placement(), sandboxed=settings.sandbox)
        server = Listener(config(app, settings.host, settings.port, protocol_for(settings)))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await _until_started(server, serving)
        Drain(server, server.lifespan.state["gateway"], settings.drain_timeout).install()
        calm_collector()
        host, port = listening.getsockname()[:2]
        log.event("info", "serving", host=host, port=port, sandbox=settings.sandbox)
        for spec in settings.access_tokens:
            if spec.ends is not None and spec.ends <= time.time():
                log.event("warning", "an access token has ended and opens nothing", tenant=spec.name)
        if development:
            _greet(settings, token, port)
        await serving
    return 0


def protocol_for(settings: Settings) -> type[Protocol]:
    members = {"max_header": settings.max_header, "read_timeout_seconds": settings.read_timeout}
    return type("BoundedProtocol", (Protocol,), members)


def bind(host: str, port: int, remedy: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PortBusyError(f"cannot listen on {host}:{port} ({error.strerror}); name another with {remedy}") from None


@asynccontextmanager
async def _listening(app: Any, bound: socket.socket) -> AsyncIterator[int]:
    """A listener beside the public one, for as long as the block lasts; its port."""
    host, port = bound.getsockname()[:2]
    server = Listener(config(app, host, port))
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    await _until_started(server, serving)
    try:
        yield port
    finally:
        server.should_exit = True
        await serving


async def _until_started(server: Listener, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            serving.result()
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.001)


@asynccontextmanager
async def _with_sandbox(settings: Settings) -> AsyncIterator[Settings]:
    """The settings with a sandbox of our own in the place of Poe."""
    from service.sandbox.app import make_sandbox  # brings fastapi_poe, which nothing else needs
    from service.sandbox.state import Sandbox

    app = make_sandbox(Sandbox(word_seconds=SANDBOX_WORD_SECONDS))
    async with _listening(app, bind("127.0.0.1", 0, "a free port")) as port:
        url = f"http://127.0.0.1:{port}"
        yield replace(
            settings,
            poe_base_url=url,
            poe_upload_url=f"{url}/poe_api/file_upload_3RD_PARTY_POST",
            poe_api_keys=(KeySpec("sandbox", "sandbox", SANDBOX_KEY),),
        )


@asynccontextmanager
async def _metrics(settings: Settings, metrics: Metrics, log: Log, *, optional: bool) -> AsyncIterator[None]:
    """The metrics' listener. `optional`: a busy port is only worth a warning."""
    try:
        bound = bind(settings.host, settings.metrics_port, "METRICS_PORT")
    except PortBusyError as busy:
        if not optional:
            raise
        log.event("warning", f"no metrics: {busy}")
        yield
        return

    async def exposition(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _no_lifespan(receive, send)
            return
        found = scope["path"] in ("/metrics", "/")
        body = metrics.exposition() if found else b"not found"
        headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with _listening(exposition, bound):
        yield


async def _no_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _greet(settings: Settings, token: LocalToken | None, port: int) -> None:
    """One line that works as pasted, on standard error: standard output is for the log."""
    shown = f"'Authorization: Bearer {token.text}'" if token is not None else '"Authorization: Bearer $TOKEN"'
    model = "sandbox-echo" if settings.sandbox else "claude-haiku-4.5"
    body = f'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Say hello in five words"}}]}}'
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "127.0.0.1") else settings.host  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    what = "the sandbox (no POE_API_KEYS)" if settings.sandbox else "Poe"
    hint = "try:" if token is not None else "set TOKEN to one of your ACCESS_TOKENS and try:"
    print(f"poe-proxy serves {what} on http://{host}:{port}/v1  -  {hint}", file=sys.stderr)
    print(
        f"curl -N http://{host}:{port}/v1/chat/completions -H {shown} -H 'Content-Type: application/json' -d '{body}'",
        file=sys.stderr,
        flush=True,
    )
