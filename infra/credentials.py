"""Poe keys and access tokens on their way to Fly: from a file, the environment or a prompt, and checked first."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from invoke import Exit

from infra import service
from infra.console import asks
from infra.fly import wrong_use
from infra.record import Issued
from infra.service import Verdict
from infra.session import Session
from infra.task import ExitCode

KEYS, TOKENS = "POE_API_KEYS", "ACCESS_TOKENS"
LARGEST_FILE_BYTES = 1 << 20
SHORTEST_TOKEN = 16
"""Shorter ones are placeholders; the service takes none."""
TENANT = "owner"
MOST_TOLD = 5
"""How many items that are wrong are told one by one."""
NOT_A_VALUE = re.compile(r"^[ \t]*(#|(?:export[ \t]+)?[A-Z][A-Z_]+=)", re.MULTILINE)
"""How a line begins that was meant for a shell."""


@dataclass(frozen=True, slots=True)
class Values:
    """Keys or tokens as one list, and what the service says of each."""

    text: str = field(repr=False)
    verdicts: tuple[Verdict, ...]

    @property
    def names(self) -> str:
        """Their names, to be shown."""
        return ", ".join(each.name for each in self.verdicts)

    @property
    def issued(self) -> tuple[Issued, ...]:
        """The tokens as they are remembered."""
        return tuple(Issued(each.name, each.digest, each.ends) for each in self.verdicts)


def text_of_file(name: str, flag: str) -> str:
    """What a file, or standard input for `-`, holds; refuses one that is missing, empty, large or no text."""
    try:
        if name == "-":
            raw = sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
        else:
            with Path(name).open("rb") as stream:
                raw = stream.read(LARGEST_FILE_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise wrong_use(f"{flag} {name}: no UTF-8 text") from None
    except OSError as problem:
        raise wrong_use(f"{flag} {name}: {problem.strerror}") from None
    if len(raw) > LARGEST_FILE_BYTES:
        raise wrong_use(f"{flag} {name}: larger than 1 MiB")
    if not text.strip():
        raise wrong_use(f"{flag} {name}: it is empty")
    if mistaken := NOT_A_VALUE.search(text):
        line = text.count("\n", 0, mistaken.start(1)) + 1
        what = "a comment" if mistaken[1].startswith("#") else "an assignment"
        raise wrong_use(f"{flag} {name}: line {line} is {what}; only VALUE or NAME:VALUE can stand there")
    return text


def given(session: Session, variable: str, file: str, flag: str, question: str = "") -> str:
    """The list from the file that was named, else from the environment, else as typed; empty for none of them."""
    text = text_of_file(file, flag) if file else os.environ.get(variable, "")
    if not text.strip() and question and asks() and not session.yes:
        text = session.console.ask(question, hidden=True, otherwise="")
    session.redact.add(text)
    return text


def checked_keys(session: Session, text: str) -> Values:
    """Poe keys that Poe accepts. Raises for the first that is malformed (2) or that Poe does not accept (1)."""
    with session.console.progress("asking Poe about the keys"):
        verdicts = service.examine_keys(text)
    _refuse_malformed(verdicts, KEYS)
    page = "; poe.com/api/keys shows the good ones" * any(each.alive is False for each in verdicts)
    _refuse(verdicts, ExitCode.FAILED, f"{KEYS}: ", f"{page}; nothing was sent to Fly")
    return Values(joined(text), verdicts)


def checked_tokens(text: str) -> Values:
    """Access tokens that the service would take."""
    verdicts = service.examine_tokens(text)
    _refuse_malformed(verdicts, TOKENS)
    return Values(joined(text), verdicts)


def new_token(name: str = TENANT) -> str:
    """A fresh access token as `NAME:TOKEN`."""
    return f"{name}:{secrets.token_hex(24)}"


def joined(text: str) -> str:
    """The same list with nothing but commas between its items."""
    return ",".join(re.findall(r"[^\s,]+", text))


def _refuse_malformed(verdicts: Sequence[Verdict], variable: str) -> None:
    malformed = [each for each in verdicts if not each.well_formed]
    _refuse(malformed, ExitCode.WRONG_USE, f"{variable}: ", "; nothing was sent to Fly")


def _refuse(verdicts: Sequence[Verdict], code: ExitCode, before: str, behind: str) -> None:
    if wrong := [each.problem.rstrip(".") for each in verdicts if each.problem]:
        told = [*wrong[:MOST_TOLD], *([f"and {len(wrong) - MOST_TOLD} more"] if len(wrong) > MOST_TOLD else ())]
        raise Exit(before + "; ".join(told) + behind, code=int(code))


def plain_tokens(text: str) -> list[str]:
    """The tokens of a list that stand there as themselves and do not end."""
    return [
        each
        for each in text.split(",")
        if len(bare(each)) >= SHORTEST_TOKEN and "sha256-" not in each and "@" not in each
    ]


def digest_of(token: str) -> str:
    """`sha256-HEX` of a token, written with or without its tenant's name."""
    return f"sha256-{hashlib.sha256(bare(token).encode()).hexdigest()}"


def bare(token: str) -> str:
    """The token alone, without the tenant's name before it."""
    return re.sub(r"^[a-z0-9_-]{1,32}:", "", token)
