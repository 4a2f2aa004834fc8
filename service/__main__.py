"""`python -m service`: serve; `python -m service settings`, `check` and `failures`: look, and serve nothing."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence

from service.settings import EXIT_BAD_SETTINGS, SettingsError, load


def main(argv: Sequence[str]) -> int:
    """The exit code of what was asked for."""
    if argv and argv[0] in ("settings", "check", "failures"):
        from service import cli

        return cli.main(argv)
    options = _parser().parse_args(argv)
    given = {"HOST": options.host, "PORT": options.port, "LOG_LEVEL": options.log_level}
    overrides = {name: value for name, value in given.items() if value}
    if options.dev:
        overrides.setdefault("HOST", "127.0.0.1")
    signal.signal(signal.SIGTERM, _end)  # until the service takes signals itself
    gc.disable()  # what is imported now stays: looking for garbage among it is a tenth of the start
    from service.serve import run

    try:
        return run(load(overrides=overrides), development=options.dev)
    except SettingsError as problem:
        print(problem, file=sys.stderr)
        return EXIT_BAD_SETTINGS


def _end(number: int, frame: object) -> None:
    """Nothing is served yet, so that nothing has to be finished."""
    os._exit(0)  # an exception could be lost, where an import's callback is interrupted


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service",
        allow_abbrev=False,
        description="Serve. `settings`, `check` and `failures` as the first word only look; each has its own --help.",
    )
    parser.add_argument("--host", help="the address to listen on, before HOST")
    parser.add_argument("--port", help="the port to listen on, before PORT")
    parser.add_argument("--log-level", help="before LOG_LEVEL")
    parser.add_argument("--dev", action="store_true", help="for a desk: loopback, the sandbox without keys, a hello")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
