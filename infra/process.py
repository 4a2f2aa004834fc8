"""Run a program: an argument list and never a shell, bounded in time and output, its lines told as they come."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

NOT_FOUND = 127
LARGEST_OUTPUT_BYTES = 32 << 20
GRACE_SECONDS = 15.0
"""What a program gets to put things in order after it was told to stop; flyctl gives its leases back."""

Hear = Callable[[str], None]


class Stopped(KeyboardInterrupt):
    """This process was told to stop by another signal than Ctrl-C."""


def heed_signals() -> None:
    """Take SIGTERM and SIGHUP as an interrupt: a task says what is done so far and leaves no program running."""

    def stop(number: int, _: object) -> None:
        raise Stopped(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, stop)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. Its output may hold secrets, so that nothing shows it by accident."""

    code: int
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)
    timed_out: bool = False


def run(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    seconds: float,
    stdin: bytes = b"",
    folder: Path | None = None,
    hear: Hear | None = None,
    grace: float | None = None,
) -> Finished:
    """Run `argv` with exactly this environment; `hear` gets every line of both outputs as soon as it is there.

    One that is not done after `seconds` is told to stop, and after `grace` more (else `GRACE_SECONDS`) is killed.
    `FileNotFoundError` and `PermissionError` where there is no such program. Never raises for how it ended.
    """
    child = subprocess.Popen(
        list(argv),
        env=dict(environ),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A terminal's Ctrl-C is for this process, which hands it on: a program that got it twice would give up at once.
        start_new_session=True,
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    outputs: tuple[list[bytes], list[bytes]] = ([], [])
    threads = [
        threading.Thread(target=_write, args=(child.stdin, stdin), daemon=True),
        threading.Thread(target=_read, args=(child.stdout, outputs[0], hear), daemon=True),
        threading.Thread(target=_read, args=(child.stderr, outputs[1], hear), daemon=True),
    ]
    grace = GRACE_SECONDS if grace is None else grace
    try:
        for thread in threads:
            thread.start()
        timed_out = _wait(child, seconds, grace)
    except Stopped:
        child.terminate()
        _end(child, grace)
        raise
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        _end(child, grace)  # it may tidy up, as long as that does not take for ever
        raise
    except BaseException:
        _end(child, grace)
        raise
    for thread in threads:
        thread.join(grace)
    stdout, stderr = (b"".join(lines).decode("utf-8", "replace") for lines in outputs)
    return Finished(child.returncode, stdout, stderr, timed_out)


def _wait(child: subprocess.Popen[bytes], seconds: float, grace: float) -> bool:
    """Wait for the end, enforced after `seconds`; whether that was necessary."""
    try:
        child.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        child.terminate()
        _end(child, grace)
        return True


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    except BaseException:  # told to stop a second time
        child.kill()
        raise


def _write(pipe: IO[bytes], text: bytes) -> None:
    # A program that reads nothing of it, or that has ended, is no failure of ours.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError), pipe:
        pipe.write(text)


def _read(pipe: IO[bytes], lines: list[bytes], hear: Hear | None) -> None:
    size = 0
    with pipe:
        for line in pipe:
            size += len(line)
            if size <= LARGEST_OUTPUT_BYTES:
                lines.append(line)
            if hear is not None:
                try:
                    hear(line.decode("utf-8", "replace").rstrip("\r\n"))
                except BrokenPipeError:
                    return  # nobody reads what was heard: the program meets the same, and ends
