"""The command line of the scorecard: `python -m bench.failover`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.failover import report
from bench.failover.caller import Endpoint
from bench.failover.card import WIRES, Scorecard, of_ours, of_yours
from bench.failover.profile import FULL, SHORT
from bench.processes import BenchError

FAILED = 1
CANNOT_RUN = 3
UPSTREAM_PORT = 8199


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the scorecard. Exit codes: 0 all passed, 1 something did not, 2 wrong use, 3 it could not run."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        card = asyncio.run(_card(options))
        sys.stdout.write(report.markdown(card))
        if options.save:
            options.save.write_text(report.placed(card, options.save.read_text()))
    except (BenchError, OSError, ValueError) as error:
        sys.stderr.write(f"failover: {error}\n")
        return CANNOT_RUN
    _say(f"{time.monotonic() - began:.0f} s")
    return 0 if card.clean else FAILED


async def _card(options: argparse.Namespace) -> Scorecard:
    profile = FULL if options.full else SHORT
    if options.url:
        token = options.token_file.read_text().strip() if options.token_file else ""
        endpoint = Endpoint(options.url.rstrip("/"), token, models=options.models)
        return await of_yours(profile, endpoint, options.upstream_port, _say, wires=options.wire or ())
    with tempfile.TemporaryDirectory(prefix="failover-") as logs:
        return await of_ours(profile, Path(logs), wires=options.wire or WIRES)


def _say(line: str) -> None:
    sys.stderr.write(f"failover: {line}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.failover",
        description="Plays sixteen public faults to a gateway and judges what its caller gets.",
        epilog="./dev failover --help says how another gateway is pointed at the upstream.",
    )
    parser.add_argument("--full", action="store_true", help="the published waits, in two minutes, instead of a quarter")
    parser.add_argument("--wire", action="append", choices=WIRES, help="only this wire; may be repeated")
    parser.add_argument("--save", type=Path, metavar="FILE", help="put the table into this document, too")
    other = parser.add_argument_group("a gateway started by you")
    other.add_argument("--url", help="its base URL, up to and with its /v1")
    other.add_argument("--upstream-port", type=int, default=UPSTREAM_PORT, metavar="P", help="where our upstream is")
    other.add_argument("--token-file", type=Path, metavar="F", help="the token that it wants")
    other.add_argument("--no-models", dest="models", action="store_false", help="its fallbacks are set in its settings")
    return parser


if __name__ == "__main__":
    sys.exit(main())
