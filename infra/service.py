"""Questions to the service, through its command line: which settings there are, whether keys and tokens are good."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invoke import Exit

from infra import environ, process
from infra.task import ExitCode

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120.0
"""A thousand keys, eight at a time, against a Poe that takes its time."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the service: its name, its default as one would write it, whether it is secret."""

    name: str
    default: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the service says of one key or token, without its value. `alive` is None where Poe gave no answer."""

    name: str
    well_formed: bool
    alive: bool | None
    points: int | None
    digest: str
    ends: float | None
    problem: str


def settings() -> tuple[Setting, ...]:
    """All settings of the service."""
    listed = json.loads(_ask("settings", "--json"))
    return tuple(Setting(each["name"], each["default"], each["secret"]) for each in listed)


def examine_keys(text: str, *, online: bool = True) -> tuple[Verdict, ...]:
    """Each Poe key of a list, asked about at Poe for free."""
    return _examine("--keys", text, () if online else ("--offline",))


def examine_tokens(text: str) -> tuple[Verdict, ...]:
    """Each access token of a list."""
    return _examine("--tokens", text, ())


def _examine(kind: str, text: str, more: Sequence[str]) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(
            each["name"],
            each["well_formed"],
            each.get("alive"),
            each.get("points"),
            each.get("digest") or "",
            each.get("ends"),
            each["problem"] or "",
        )
        for each in json.loads(_ask("check", kind, "-", *more, stdin=text.encode()))
    )


def _ask(*arguments: str, stdin: bytes = b"") -> str:
    """The output of `python -m service`, which exits 1 where something it was shown is not good."""
    finished = process.run(
        [sys.executable, "-m", "service", *arguments],
        environ=environ.for_service(os.environ),
        stdin=stdin,
        seconds=SECONDS,
        folder=ROOT,
    )
    if finished.stdout and finished.code in (0, 1):
        return finished.stdout
    # Its standard error may not be shown whole: a traceback would hold what it was given.
    reason = "took too long" if finished.timed_out else finished.stderr.strip().rpartition("\n")[2][:200]
    raise Exit(f"python -m service {arguments[0]} failed: {reason}", code=int(ExitCode.FAILED))
