"""What every task of ours shares: the decorator, the exit codes, and the way to end with one of them."""

from __future__ import annotations

import enum
import functools
from typing import NoReturn

import invoke

INTERRUPTED = 130


class ExitCode(enum.IntEnum):
    """What a task's exit code tells a script."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOT_SET_UP = 3
    DRIFT = 4


# Short flags made from first letters would take `-h` from `--help` and give it to `--host`.
task = functools.partial(invoke.task, auto_shortflags=False)


def end(code: int, message: str = "") -> NoReturn:
    """Leave the task with this exit code, and this line on standard error."""
    raise invoke.Exit(message or None, code=int(code))
