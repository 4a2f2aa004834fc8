"""Real servers for tests: the gateway and the sandbox, each on a loopback port in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import make_app
from service.gateway import Gateway
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.sandbox.app import make_sandbox, sandbox_of
from service.sandbox.state import Sandbox
from service.serve import bind, protocol_for
from service.server import Listener, config
from service.settings import Settings, load

TOKEN = "access-token-of-the-tests"
TENANT = "tests"
KEYS = "first:poe-key-first-0000,second:poe-key-second-0000"
MODEL = "sandbox-echo"
"""One that is on the sandbox's list, and not on the one that a gateway starts with."""
START_SECONDS = 20.0
STOP_SECONDS = 10.0

Result = TypeVar("Result")


@dataclass
class Served:
    """A server that runs: its base URL, and the loop of its thread."""

    url: str
    server: Listener
    loop: asyncio.AbstractEventLoop

    def run(self, job: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the server's own loop."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result(START_SECONDS)

    def call(self, job: Callable[[], Result]) -> Result:
        """Call something on the server's own loop, so that it sees a state at rest."""

        async def called() -> Result:
            return job()

        return self.run(called())


@dataclass
class Running(Served):
    """A gateway that runs, and what its log and metrics said."""

    settings: Settings = field(default_factory=Settings)
    log: io.BytesIO = field(default_factory=io.BytesIO)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def gateway(self) -> Gateway:
        gateway: Gateway = self.server.lifespan.state["gateway"]
        return gateway

    def end_all_limits(self) -> None:
        """Have the time be over now for every request that stands under a limit, however far off that is."""

        def end() -> None:
            running = self.gateway.deadlines._running
            assert running
            for deadline in running:
                deadline.begin_anew(0.0)

        self.call(end)

    def lines(self, message: str = "request") -> list[dict[str, Any]]:
        """The log's lines of one kind, oldest first."""
        self._told()
        lines = [orjson.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["message"] == message]

    def _told(self) -> None:
        if not self.loop.is_closed():  # a gateway that ended has told everything
            self.call(self.gateway.tell)

    def exposition(self) -> str:
        """What the metrics listener would say."""
        self._told()
        return self.metrics.exposition().decode()


@contextmanager
def served(app: Any, protocol: type[HttpToolsProtocol]) -> Iterator[Served]:
    """Serve an ASGI application for as long as the block lasts."""
    bound = bind("127.0.0.1", 0, "a free port")
    port = bound.getsockname()[1]
    server = Listener(config(app, "127.0.0.1", port, protocol))
    found: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        found.append(asyncio.get_running_loop())
        await server.serve(sockets=[bound])

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    _wait_until(lambda: server.started)
    try:
        yield Served(f"http://127.0.0.1:{port}", server, found[0])
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        assert not thread.is_alive(), "the server did not stop"


def _wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(START_SECONDS * 200)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("the server did not start")


def settings_for(upstream: str, **members: str) -> Settings:
    """Settings that lead to an upstream; `members` are variables of the environment."""
    environment = {
        "POE_API_KEYS": KEYS,
        "ACCESS_TOKENS": f"{TENANT}:{TOKEN}",
        "POE_BASE_URL": upstream,
        "POE_UPLOAD_URL": f"{upstream}/poe_api/file_upload_3RD_PARTY_POST",
        "METRICS_PORT": "0",
        "POE_LIMIT_PER_MINUTE": "1000000",
        "LOG_LEVEL": "debug",
    }
    return load({**environment, **members})


@contextmanager
def running(upstream: str, *, listed: bool = True, **members: str) -> Iterator[Running]:
    """A gateway in front of an upstream. `listed`: that is a sandbox, whose models it knows when the block begins; it
    answers before, so that a test on a slow machine would ask for a model that is not on the list yet.
    """
    settings = settings_for(upstream, **members)
    sink, metrics = io.BytesIO(), Metrics()
    app = make_app(settings, log=Log(settings.log_level, "json", sink), metrics=metrics)
    with served(app, protocol_for(settings)) as server:
        gateway = Running(server.url, server.server, server.loop, settings, sink, metrics)
        if listed:
            _wait_until(lambda: gateway.gateway.catalogue.find(MODEL) is not None)
        yield gateway


@contextmanager
def sandboxed(**options: Any) -> Iterator[tuple[str, Sandbox]]:
    """A sandbox: its base URL and its state."""
    app = make_sandbox(Sandbox(**options))
    with served(app, HttpToolsProtocol) as server:
        yield server.url, sandbox_of(app)
