"""Who is measured: a direct call, a bare pass-through, this gateway, the same job on Poe's client, other gateways."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench import cases
from bench.load import Endpoint
from bench.processes import BenchError, Command, Cores, family, free_port, get, pin, running, wait_for_200

DIRECT, BARE, BARE_ON_FASTAPI = "direct", "bare", "bare on FastAPI"
GATEWAY_CHAT, GATEWAY_BOT, ORACLE = "gateway, chat wire", "gateway, bot wire", "fastapi_poe client"
OURS = (DIRECT, BARE, BARE_ON_FASTAPI, GATEWAY_CHAT, GATEWAY_BOT, ORACLE)

GATEWAY = "gateway"
SERVERS = {
    BARE: BARE,
    BARE_ON_FASTAPI: BARE_ON_FASTAPI,
    GATEWAY_CHAT: GATEWAY,
    GATEWAY_BOT: GATEWAY,
    ORACLE: ORACLE,
}
"""The server behind each contestant of ours; one process of the gateway serves both of its rows."""

KEYS = 4


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the tables. `pids` is empty where there is no process to measure; `is_other`: not one of ours."""

    name: str
    endpoint: Endpoint
    pids: tuple[int, ...] = ()
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class OtherGateway:
    """A base URL given on the command line; its upstream must have been set to ours."""

    name: str
    url: str
    pid: int | None = None
    token: str = field(default="", repr=False)
    model_prefix: str = ""

    def contestant(self, cores: Cores) -> Contestant:
        """Pinned like ours, with its children, if its process is known."""
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise BenchError(f"{self.name}: {self.url} is no http://HOST:PORT/PATH")
        if self.pid is not None:
            pin(self.pid, cores.gateway)
        endpoint = Endpoint(
            parts.hostname,
            parts.port,
            f"{parts.path.rstrip('/')}/chat/completions",
            (("authorization", f"Bearer {self.token}"),) if self.token else (),
            model_prefix=self.model_prefix,
            exact_model=False,
        )
        return Contestant(self.name, endpoint, family(self.pid) if self.pid else (), is_other=True)


@dataclass(frozen=True, slots=True)
class Stand:
    """How to start one of our servers, and what it must be shown."""

    command: Command
    port: int
    token: str = field(default="", repr=False)
    metrics_port: int = 0

    def endpoint(self, *headers: tuple[str, str]) -> Endpoint:
        """Where it takes chat completions."""
        return Endpoint("127.0.0.1", self.port, "/v1/chat/completions", (*self._bearer(), *headers))

    def asks_for_models(self) -> bytes:
        """A request for the model list."""
        return get("/v1/models", self._bearer())

    def _bearer(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


def stand(server: str, upstream_port: int) -> Stand:
    """One of `SERVERS` on a free port, told to call the upstream on `upstream_port`."""
    port, upstream = free_port(), f"http://127.0.0.1:{upstream_port}"
    if server == GATEWAY:
        return _gateway(port, upstream)
    module = "bench.oracle" if server == ORACLE else "bench.bare"
    arguments = ["-m", module, "--port", str(port), "--upstream", upstream]
    if server == BARE_ON_FASTAPI:
        arguments.append("--on-fastapi")
    return Stand(Command.python(*arguments), port)


def _gateway(port: int, upstream: str) -> Stand:
    """As in production, on one worker: token checked, every request logged as JSON and counted in the metrics."""
    token, metrics_port = secrets.token_urlsafe(32), free_port()
    keys = [f"account-{number}/key-{number}:{secrets.token_urlsafe(32)}" for number in range(KEYS)]
    environment = {
        "POE_BASE_URL": upstream,
        "POE_API_KEYS": ",".join(keys),
        "ACCESS_TOKENS": f"bench:{token}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "METRICS_PORT": str(metrics_port),
        "POE_LIMIT_PER_MINUTE": "1000000",  # what is measured is the work, not the shaping
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
    }
    return Stand(Command.python("-m", "service", environment=environment), port, token, metrics_port)


@dataclass(frozen=True, slots=True)
class Lineup:
    """Everybody who takes part, running, with the processes of ours by server and the gateway's log."""

    contestants: tuple[Contestant, ...]
    pids: dict[str, int]
    stands: dict[str, Stand]
    logs: Path

    def named(self, *names: str) -> tuple[Contestant, ...]:
        """Those of `names` that take part, and all others' gateways."""
        return tuple(one for one in self.contestants if one.name in names or one.is_other)


@contextmanager
def running_lineup(
    names: Sequence[str], others: Sequence[OtherGateway], upstream_port: int, cores: Cores, logs: Path
) -> Iterator[Lineup]:
    """Starts the servers behind `names`, waits until each answers, and ends them at the end."""
    with ExitStack() as stack:
        stands: dict[str, Stand] = {}
        pids: dict[str, int] = {}
        for server in dict.fromkeys(SERVERS[name] for name in names if name != DIRECT):
            stands[server] = one = stand(server, upstream_port)
            pids[server] = stack.enter_context(running(one.command, cores.gateway, logs / f"{server}.log"))
            if server == GATEWAY:
                wait_for_200(one.port, one.asks_for_models(), pids[server], wanted=cases.PACED_MODEL.encode())
            else:
                wait_for_200(one.port, get("/health"), pids[server])
        ours = [_contestant(name, stands, pids, upstream_port) for name in names]
        yield Lineup((*ours, *[other.contestant(cores) for other in others]), pids, stands, logs)


def _contestant(name: str, stands: dict[str, Stand], pids: dict[str, int], upstream_port: int) -> Contestant:
    if name == DIRECT:
        headers = (("authorization", "Bearer direct"),)
        return Contestant(name, Endpoint("127.0.0.1", upstream_port, "/v1/chat/completions", headers))
    server = SERVERS[name]
    wire = {GATEWAY_CHAT: (("x-proxy-wire", "chat"),), GATEWAY_BOT: (("x-proxy-wire", "bot"),)}.get(name, ())
    return Contestant(name, stands[server].endpoint(*wire), (pids[server],))
