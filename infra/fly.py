"""The one module that runs flyctl: argument lists, secrets by standard input, a quiet environment, a dry run."""

from __future__ import annotations

import enum
import json
import math
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invoke import Exit

from infra import environ, process
from infra.process import Finished, Hear
from infra.redact import Redactor
from infra.refusal import AGAIN, Refusal, told
from infra.task import ExitCode

MINUTES = 60.0
SHORT_GRACE_SECONDS = 0.5
LEAST_SECONDS = 0.1
OLDEST = (0, 4, 40)
"""Certificates answer in today's shape since the spring of 2026."""


class Effect(enum.Enum):
    """Whether a command may run in a dry run."""

    READS = enum.auto()
    WRITES = enum.auto()


@dataclass(frozen=True, slots=True)
class Command:
    """What is known of one of flyctl's commands.

    Its effect, whether it takes `--json`, how long it may take, whether what it prints on the way is worth telling.
    """

    effect: Effect
    json: bool = False
    seconds: float = 60.0
    tells: bool = False


_LOOK = Command(Effect.READS, json=True)
_CHANGE = Command(Effect.WRITES)
# flyctl prints help and exits 0 for a sub-command that it does not know, so that nothing but these is ever run.
COMMANDS: Mapping[str, Command] = {
    "version": _LOOK,
    "auth whoami": _LOOK,
    "auth token": _LOOK,
    "orgs list": _LOOK,
    "platform regions": _LOOK,
    "apps create": Command(Effect.WRITES, json=True),
    "apps destroy": Command(Effect.WRITES, seconds=5 * MINUTES),
    "status": _LOOK,
    "releases": _LOOK,
    "scale show": _LOOK,
    "scale count": Command(Effect.WRITES, seconds=10 * MINUTES, tells=True),
    "scale vm": Command(Effect.WRITES, seconds=30 * MINUTES, tells=True),
    "secrets list": _LOOK,
    "secrets import": _CHANGE,
    "secrets unset": _CHANGE,
    "secrets deploy": Command(Effect.WRITES, seconds=45 * MINUTES, tells=True),
    "config validate": Command(Effect.READS),
    "config show": Command(Effect.READS),
    "deploy": Command(Effect.WRITES, seconds=60 * MINUTES, tells=True),
    "ips list": _LOOK,
    "ips allocate-v4": _CHANGE,
    "ips allocate-v6": _CHANGE,
    "certs list": _LOOK,
    "certs add": Command(Effect.WRITES, json=True),
    "certs check": Command(Effect.WRITES, json=True),  # it makes Fly validate the name once more
    "certs remove": _CHANGE,
    "tokens list": Command(Effect.READS),
    "tokens create deploy": Command(Effect.WRITES, json=True),
    "tokens revoke": _CHANGE,
    "logs": _LOOK,
}


class FlyError(Exit):
    """A call of flyctl that failed: one line without secrets that says what to do next."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message, code=int(refusal.code))
        self.refusal = refusal


@dataclass(slots=True)
class Fly:
    """flyctl, as one task uses it. `noted` gets every argument list of a dry run, as a line for a shell.

    `begun` gets every command that changes something, before it runs.

    A task that must not take long, and only reads, sets `longest` (s) for a single call and `deadline` (monotonic) for
    all of them.
    """

    binary: str
    environ: Mapping[str, str] = field(repr=False)
    redact: Redactor
    dry_run: bool = False
    noted: Callable[[str], None] = print
    hear: Hear | None = None
    begun: list[str] = field(default_factory=list)
    calls: int = 0
    longest: float = math.inf
    deadline: float = math.inf

    def seconds_left(self, wanted: float) -> float:
        """How long a call that would like so many seconds may take."""
        return max(min(wanted, self.longest, self.deadline - time.monotonic()), LEAST_SECONDS)

    def text(self, command: str, *arguments: str, app: str = "", stdin: bytes = b"", seconds: float = 0) -> str:
        """What a command printed; empty for one that a dry run leaves out. `stdin` alone may hold secrets."""
        finished = self._run(command, arguments, app, stdin, seconds)
        if finished.code:
            raise self._error(command, finished)
        if "\nUsage:\n  flyctl " in f"\n{finished.stdout}":
            raise FlyError(
                Refusal.OTHER, f"flyctl {command} showed its help instead of doing something; is it too old?"
            )
        return finished.stdout

    def json(self, command: str, *arguments: str, app: str = "", seconds: float = 0) -> Any:
        """What a command answered, parsed; None for one that a dry run leaves out."""
        flag = ("--json",) if COMMANDS[command].json else ()
        answer = self.text(command, *arguments, *flag, app=app, seconds=seconds)
        if not answer and self.skips(command):
            return None
        try:
            return first_json(answer)
        except ValueError:
            raise FlyError(
                Refusal.OTHER, f"flyctl {command} printed something else than JSON; is it too old?"
            ) from None

    def stream(self, command: str, hear: Hear, *arguments: str, app: str = "", seconds: float) -> None:
        """Tell every line that a command prints as it comes, until it ends, or for `seconds`."""
        finished = self._run(command, arguments, app, b"", seconds, lambda line: hear(self.redact(line)))
        if finished.code and not finished.timed_out:
            raise self._error(command, finished)

    def skips(self, command: str) -> bool:
        """Whether this is a dry run and the command one that writes."""
        return self.dry_run and COMMANDS[command].effect is Effect.WRITES

    def argv(self, command: str, *arguments: str, app: str = "") -> list[str]:
        """The whole argument list; `ValueError` for what flyctl would misread."""
        if command not in COMMANDS:
            raise ValueError(f"flyctl {command} is none of the commands that tasks run")
        words = [self.binary, *command.split(), *arguments, *([f"--app={app}"] if app else [])]
        if any(character in word for word in words for character in "\0\r\n"):
            raise ValueError("an argument holds a line break")
        if any(not word for word in words):
            raise ValueError("an argument is empty")
        return words

    def _run(
        self, command: str, arguments: tuple[str, ...], app: str, stdin: bytes, seconds: float, hear: Hear | None = None
    ) -> Finished:
        argv = self.argv(command, *arguments, app=app)
        if self.dry_run:
            self.noted(self.redact(shlex.join(argv)))
        if self.skips(command):
            return Finished(0)
        self.calls += 1
        if COMMANDS[command].effect is Effect.WRITES:
            self.begun.append(f"flyctl {command}")
        try:
            return process.run(
                argv,
                environ=self.environ,
                stdin=stdin,
                seconds=self.seconds_left(seconds or COMMANDS[command].seconds),
                grace=None if math.isinf(self.deadline) else SHORT_GRACE_SECONDS,
                hear=hear or (self._hear if self.hear is not None and COMMANDS[command].tells else None),
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            raise FlyError(
                Refusal.NO_FLYCTL,
                f"{self.binary} is not there: install it (https://fly.io/docs/flyctl/install/), or name one in FLYCTL",
            ) from None

    def _hear(self, line: str) -> None:
        shown = self.redact(line).strip()
        if shown and self.hear is not None:
            self.hear(shown)

    def _error(self, command: str, finished: Finished) -> FlyError:
        if finished.timed_out:
            return FlyError(Refusal.TIMEOUT, f"flyctl {command} took too long and was stopped; {AGAIN}")
        refusal, line = told(self.redact(finished.stderr), self.redact(finished.stdout), finished.code)
        return FlyError(refusal, f"flyctl {command}: {line}")


def version_problem(answer: Mapping[str, Any]) -> str:
    """What is wrong with flyctl's version; empty for nothing. One built by hand shows the day as its version."""
    version = str(answer.get("Version", ""))
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if found is None or tuple(map(int, found.groups())) >= OLDEST:
        return ""
    return f"flyctl {version} is older than {'.'.join(map(str, OLDEST))}"


def first_json(text: str) -> Any:
    """The first JSON value of an output; flyctl prints sentences before and after some. `ValueError` for none."""
    if text.strip() == "null":
        return None
    decoder = json.JSONDecoder()
    for start in re.finditer(r"[{\[]", text):  # a `[WARN]` before it is none
        with suppress(ValueError):
            return decoder.raw_decode(text, start.start())[0]
    raise ValueError("no JSON")


def json_values(text: str) -> Iterator[Any]:
    """All JSON values of an output, one after the other, each over as many lines as it likes."""
    decoder, place = json.JSONDecoder(), 0
    while (place := _next_start(text, place)) < len(text):
        value, place = decoder.raw_decode(text, place)
        yield value


def _next_start(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


@contextmanager
def configuration(given: Mapping[str, str]) -> Iterator[str]:
    """A configuration folder for flyctl that lasts as long as a task, with the login of this account.

    flyctl writes the body of every request, secrets included, into `logs/` of it; a file of that name stops it.
    `config.yml` is a link, so that what flyctl keeps there (its login, the newest secrets it has seen) is kept.
    """
    own = Path(given.get("FLY_CONFIG_DIR") or Path(given.get("HOME") or Path.home(), ".fly")) / "config.yml"
    folder = Path(tempfile.mkdtemp(prefix="poe-proxy-flyctl-"))
    try:
        (folder / "logs").touch(0o600)
        if own.is_file():
            (folder / "config.yml").symlink_to(own.resolve())
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened(
    redact: Redactor, *, dry_run: bool, noted: Callable[[str], None], hear: Hear | None, begun: list[str]
) -> Iterator[Fly]:
    """flyctl as the environment names it, for one task."""
    given = dict(os.environ)
    redact.add(given.get("FLY_API_TOKEN", ""))
    with configuration(given) as folder:
        binary = given.get("FLYCTL") or "flyctl"
        yield Fly(
            binary, environ.for_flyctl(given, folder), redact, dry_run=dry_run, noted=noted, hear=hear, begun=begun
        )


def wrong_use(message: str) -> Exit:
    """The exception for a flag or value that makes no sense."""
    return Exit(message, code=int(ExitCode.WRONG_USE))
