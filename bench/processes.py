"""The processes of a run: each pinned to its core before it begins, and what the kernel says of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.002
END_TIMEOUT_SECONDS = 10.0


class BenchError(Exception):
    """The run cannot go on; the text is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the gateway runs and where everything else does."""

    gateway: int
    load: int

    @classmethod
    def pick(cls) -> Cores:
        """Two cores that this process may use."""
        if not hasattr(os, "sched_getaffinity") or not Path("/proc/self/status").exists():
            raise BenchError("the bench pins processes and reads /proc: it needs Linux")
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise BenchError("the bench needs two cores: one for the gateway, one for the load")
        return cls(gateway=allowed[0], load=allowed[-1])


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Command:
    """How a contestant is started; `environment` is all that it sees of one."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def python(cls, *arguments: str, environment: Mapping[str, str] | None = None) -> Command:
        """This interpreter with `arguments`."""
        return cls((sys.executable, *arguments), environment or {})


@contextmanager
def running(command: Command, core: int, output: Path) -> Iterator[int]:
    """Runs `command` on `core`, its output in a file, and yields its process id; ends it at the end."""
    ours = os.sched_getaffinity(0)
    with output.open("ab") as sink:
        os.sched_setaffinity(0, {core})
        try:
            process = subprocess.Popen(
                command.arguments, cwd=ROOT, env=dict(command.environment), stdout=sink, stderr=subprocess.STDOUT
            )
        finally:
            os.sched_setaffinity(0, ours)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid: int) -> tuple[int, ...]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(children.get(found[-1], ()))
    return tuple(found)


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None


def pin(pid: int, core: int) -> None:
    """Pins a process that already runs, with its children and threads."""
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes, all threads, to the nanosecond."""
    # The kernel's clock of a process: its id inverted, and 2 for "scheduler time" (see clock_getcpuclockid(3)).
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def rss_mb(pids: Sequence[int]) -> float:
    """Resident memory of the processes in MB (10^6 bytes)."""
    total_kib = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        total_kib += int(status.partition("VmRSS:")[2].split()[0])
    return total_kib * 1024 / 1e6


def wait_for_200(port: int, request: bytes, pid: int, wanted: bytes = b"") -> bytes:
    """Asks until the answer is 200 and holds `wanted`, and returns it; blocking, on loopback.

    Raises BenchError when the process `pid` ends or the time is up.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    answer = b""
    while time.monotonic() < deadline:
        answer = _exchange(port, request)
        if answer.startswith(b"HTTP/1.1 200") and wanted in answer:
            return answer
        if _has_ended(pid):
            raise BenchError(f"the process ended before it answered on port {port}")
        time.sleep(POLL_SECONDS)
    raise BenchError(f"no good answer on port {port} in {START_TIMEOUT_SECONDS:.0f} s, last: {answer[:300]!r}")


def _has_ended(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def _exchange(port: int, request: bytes) -> bytes:
    """One request on a connection that the other side closes; empty where nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)
    except OSError:
        return b""


def get(path: str, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A GET for `wait_for_200`."""
    lines = [f"GET {path} HTTP/1.1", "host: 127.0.0.1", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
