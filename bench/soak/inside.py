"""The gateway inside of a process of the soak's own, which tells over a pipe what there is in it.

The service has no door for that, and shall have none; so the soak serves the same app itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from bench.forked import forked
from bench.processes import BenchError
from bench.soak.census import Census, take
from service.app import make_app
from service.gateway import Gateway
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.serve import Bridge, bind, protocol_for
from service.server import Drain, Listener, calm_collector, config
from service.settings import load
from service.wires import client
from service.wires import http as cold_client

IDLE_SECONDS = 1.0
"""Unused connections to the upstream are closed after this, not after half a minute for which nobody wants to wait."""
ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.01

Tamper = Callable[[Gateway], None]
"""Spoils a gateway before it serves: proves that the soak finds what it is there to find."""


class Inside:
    """The gateway's process from outside: where it listens, and what it says of itself. Blocking."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.port = int(self._received())

    def census(self) -> Census:
        """What there is inside now. Raises BenchError where the process is gone or its loop stands still."""
        self._pipe.send(None)
        census = self._received()
        assert isinstance(census, Census)
        return census

    def _received(self) -> Any:
        if not self._pipe.poll(ANSWER_SECONDS):
            raise BenchError(f"the gateway's process said nothing for {ANSWER_SECONDS:.0f} s")
        try:
            return self._pipe.recv()
        except EOFError:
            raise BenchError("the gateway's process ended; its log is above") from None


@contextmanager
def inside(environment: Mapping[str, str], log: Path, tamper: Tamper | None = None) -> Iterator[Inside]:
    """A gateway with these settings in a process of its own, its log in a file."""
    ours, theirs = Pipe()
    with ours, forked(serve, dict(environment), str(log), theirs, tamper):
        theirs.close()
        yield Inside(ours)


def serve(environment: Mapping[str, str], log: str, pipe: Connection, tamper: Tamper | None) -> None:
    """Serve until SIGTERM: the production app, server, drain and collector."""
    with open(log, "ab") as sink:
        os.dup2(sink.fileno(), sys.stdout.fileno())
        os.dup2(sink.fileno(), sys.stderr.fileno())
    for module in (client, cold_client):
        vars(module)["IDLE_CONNECTION_SECONDS"] = IDLE_SECONDS
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(environment, pipe, tamper))


async def _serve(environment: Mapping[str, str], pipe: Connection, tamper: Tamper | None) -> None:
    settings = load(environment)
    log = Log(settings.log_level, settings.log_format)
    Bridge(log).install()
    with bind("127.0.0.1", 0, "a free port") as listening:
        port = listening.getsockname()[1]
        app = make_app(settings, log=log, metrics=Metrics())
        server = Listener(config(app, "127.0.0.1", port, protocol_for(settings)))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(POLL_SECONDS)
        gateway: Gateway = server.lifespan.state["gateway"]
        if tamper is not None:
            tamper(gateway)
        Drain(server, gateway, settings.drain_timeout).install()
        calm_collector()
        pipe.send(port)

        def answer() -> None:
            try:
                pipe.recv()
                pipe.send(take(gateway, server))
            except (EOFError, OSError):  # whoever asked is gone
                asyncio.get_running_loop().remove_reader(pipe.fileno())

        asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
        await serving
