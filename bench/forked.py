"""Gateways as processes that share their imports: one process imports the service, each gateway is a fork of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import orjson

from bench.processes import BenchError
from service.serve import run
from service.settings import load

START_SECONDS = 30.0
POLL_SECONDS = 0.01
END_SECONDS = 10.0


@contextmanager
def forked(target: Callable[..., None], *arguments: Any) -> Iterator[BaseProcess]:
    """A process that runs `target`, ended with the block: by SIGTERM, and where that does not help by SIGKILL."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_watched, args=(target, *arguments), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(END_SECONDS)
        if process.is_alive():
            process.kill()
            process.join(END_SECONDS)
        process.close()


def _watched(target: Callable[..., None], *arguments: Any) -> None:
    """Run the target in a process that does not outlive the one that asked for it, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    target(*arguments)


def serve(environment: Mapping[str, str], log: str) -> None:
    """Serve as `python -m service` does, with this environment and no other, the output in a file."""
    with open(log, "ab") as sink:
        os.dup2(sink.fileno(), sys.stdout.fileno())
        os.dup2(sink.fileno(), sys.stderr.fileno())
    sys.exit(run(load(environment), development=False))


@contextmanager
def gateway(environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """A gateway on a port of loopback that it chooses, and that port. Raises BenchError where it does not start.

    Blocking: to be entered from a thread where a loop runs.
    """
    log.touch()
    with forked(serve, {**environment, "HOST": "127.0.0.1", "PORT": "0", "METRICS_PORT": "0"}, str(log)) as process:
        yield _port(process, log)


def _port(process: BaseProcess, log: Path) -> int:
    """Where the gateway listens, as soon as its log says so."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.is_alive():
        for line in log.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and b'"serving"' in line:
                return int(orjson.loads(line)["port"])
        time.sleep(POLL_SECONDS)
    last = log.read_text(errors="replace").splitlines()[-1:]
    raise BenchError(f"the gateway did not start: {''.join(last) or 'it said nothing'}")
