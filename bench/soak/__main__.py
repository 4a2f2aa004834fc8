"""The command line of the soak: `python -m bench.soak`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.processes import BenchError
from bench.soak import report
from bench.soak.run import soak

FAILED = 1
CANNOT_RUN = 3
LAST_WORDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what is left over. Exit codes: 0 nothing, 1 something or a bad end, 3 it could not run."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        logs = Path(folder)
        try:
            found = soak(options.minutes * 60, options.seed, logs, say=_say)
        except BenchError as error:
            for log in sorted(logs.iterdir()):
                for line in log.read_text(errors="replace").splitlines()[-LAST_WORDS:]:
                    _say(f"{log.stem}: {line}")
            _say(str(error))
            return CANNOT_RUN
    sys.stdout.write(report.markdown(found))
    return 0 if found.clean else FAILED


def _say(line: str) -> None:
    sys.stderr.write(f"soak: {line}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description="Loads a gateway with everything at once, faults included, and lists what it has left over.",
    )
    parser.add_argument("--minutes", type=_minutes, default=2.0, metavar="N", help="how long the load lasts (2)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the load's dice (1)")
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= 24 * 60:
        raise ValueError("from above 0 to a day")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
