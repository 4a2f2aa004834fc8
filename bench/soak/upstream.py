"""The soak's Poe: the sandbox, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bench.forked import forked
from bench.processes import BenchError
from service.serve import bind
from service.server import Listener, config

START_SECONDS = 30.0


@contextmanager
def sandbox(log: Path) -> Iterator[str]:
    """A sandbox for as long as the block lasts; its base URL."""
    ours, theirs = Pipe()
    with ours, forked(_serve, str(log), theirs):
        theirs.close()
        if not ours.poll(START_SECONDS):
            raise BenchError("the sandbox did not start")
        yield f"http://127.0.0.1:{ours.recv()}"


def _serve(log: str, pipe: Connection) -> None:
    from service.sandbox.app import make_sandbox  # brings fastapi_poe, which nothing else needs

    with open(log, "ab") as sink:
        os.dup2(sink.fileno(), sys.stdout.fileno())
        os.dup2(sink.fileno(), sys.stderr.fileno())
    with bind("127.0.0.1", 0, "a free port") as listening:
        port = listening.getsockname()[1]
        server = Listener(config(make_sandbox(), "127.0.0.1", port, HttpToolsProtocol))
        pipe.send(port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=[listening]))
