"""A program of ours on a terminal of its own, with somebody who types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTROL_KEYS = CTRL_C, CTRL_D = ("\x03", "\x04")
LONGEST_SECONDS = 40.0
ITS_OWN = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
"""Makes the terminal the one whose Ctrl-C the program gets."""


@dataclass(frozen=True)
class Seen:
    """What a program showed, and how it ended; `echoes` says whether the terminal was left as it was found."""

    text: str
    code: int
    echoes: bool

    @property
    def lines(self) -> list[str]:
        """The lines that hold something, without colours."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)
        return [line.strip() for line in plain.replace("\r", "\n").split("\n") if line.strip()]


def on_terminal(root: Path, code: str, answers: Sequence[tuple[str, str]] = (), **environ: str) -> str:
    """What a program in Python shows, where `answers` are typed after what asks for them."""
    return watched(root, code, answers, environ).text


def watched(root: Path, code: str, answers: Sequence[tuple[str, str]], environ: Mapping[str, str]) -> Seen:
    """A program in Python, with the folder that holds the project in its path."""
    import termios

    parent, child = pty.openpty()
    surroundings = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "120", **environ}
    with subprocess.Popen(
        [sys.executable, "-c", ITS_OWN + textwrap.dedent(code)],
        cwd=root,
        env=surroundings,
        start_new_session=True,
        stdin=child,
        stdout=child,
        stderr=child,
    ) as running:
        shown = _typed(parent, list(answers), running)
        running.wait(10)
    echoes = bool(termios.tcgetattr(child)[3] & termios.ECHO)
    os.close(child)
    os.close(parent)
    return Seen(shown.decode(), running.returncode, echoes)


def _typed(parent: int, waiting: list[tuple[str, str]], running: subprocess.Popen[bytes]) -> bytes:
    """What is shown until the program ends, each answer typed as soon as it is asked for."""
    shown, deadline = b"", time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        ended = running.poll() is not None
        while select.select([parent], [], [], 0 if ended else 0.05)[0]:
            shown += os.read(parent, 65536)
            if waiting and shown.endswith(waiting[0][0].encode()):
                _, typed = waiting.pop(0)
                os.write(parent, typed.encode() if typed in CONTROL_KEYS else typed.encode() + b"\n")
        if ended:
            break
    return shown
