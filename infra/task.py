"""What every task of ours shares: the decorator, the exit codes, and the way to end with one of them."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Any, NoReturn

import invoke

INTERRUPTED = 130


class ExitCode(enum.IntEnum):
    """What a task's exit code tells a script."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOT_SET_UP = 3
    DRIFT = 4


class Lasting(invoke.Task[Callable[..., Any]]):
    """A task that can tell its flags more than once: invoke's own forgets what they mean as it tells them."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[invoke.Argument]:
        """The flags, with what each one means."""
        meanings = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = meanings


# Short flags made from first letters would take `-h` from `--help` and give it to `--host`.
task = functools.partial(invoke.task, auto_shortflags=False, klass=Lasting)


def end(code: int, message: str = "") -> NoReturn:
    """Leave the task with this exit code, and this line on standard error."""
    raise invoke.Exit(message or None, code=int(code))


def of_system(problem: OSError) -> str:
    """What the operating system refused, in one line: the file, if any, and why."""
    return ": ".join(filter(None, (str(problem.filename or ""), problem.strerror or type(problem).__name__)))
