"""Programs that are run: what they get, what is heard of them, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import process

ENVIRON = {"PATH": os.environ["PATH"]}
LIMIT_SECONDS = 19.0


def python(code: str, **options: object) -> process.Finished:
    return process.run([sys.executable, "-c", code], environ=ENVIRON, **{"seconds": 20.0, **options})  # type: ignore[arg-type]


def test_both_outputs_and_the_exit_code() -> None:
    done = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.code, done.stdout, done.stderr, done.timed_out) == (3, "out\n", "err\n", False)


def test_the_representation_shows_no_output() -> None:
    assert "kept quiet" not in repr(python("print('kept quiet')"))


def test_a_large_input_that_nobody_reads_does_not_hang() -> None:
    assert python("print('done')", stdin=b"x" * (1 << 20)).stdout == "done\n"


def test_much_on_both_outputs_does_not_hang() -> None:
    done = python("import sys\nfor _ in range(20000): print('x' * 40); print('y' * 40, file=sys.stderr)")
    assert len(done.stdout) == len(done.stderr) == 20000 * 41


def test_more_than_anybody_reads_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LARGEST_OUTPUT_BYTES", 1000)
    done = python("for number in range(1000): print('x' * 99)")
    assert (done.code, len(done.stdout)) == (0, 1000)


def test_what_nohup_leaves_out_stays_left_out() -> None:
    """Else a task that was to outlive its terminal would end with it."""
    code = (
        "import signal\nfrom infra import process\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "process.heed_signals()\nprint(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "
        "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    assert python(code).stdout == "True False\n"


def test_the_environment_is_exactly_the_given_one() -> None:
    done = process.run(
        [sys.executable, "-c", "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"],
        environ={"ONLY": "this"},
        seconds=20.0,
    )
    assert done.stdout == "['ONLY']\n"


def test_lines_are_heard_as_they_come(tmp_path: Path) -> None:
    """The second line comes only when the first was heard."""
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        (tmp_path / "heard").touch()

    code = (
        "import os, time; print('one', flush=True)\n"
        f"while not os.path.exists({str(tmp_path / 'heard')!r}): time.sleep(0.01)\n"
        "print('two')"
    )
    done = python(code, hear=hear)
    assert (done.timed_out, heard) == (False, ["one", "two"])


def test_one_that_nobody_hears_any_more_ends(capfd: pytest.CaptureFixture[str]) -> None:
    """As one that `| head` leaves."""

    def unread(_: str) -> None:
        raise BrokenPipeError

    done = python("import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.01)", hear=unread)
    assert (done.timed_out, done.code != 0) == (False, True)
    assert capfd.readouterr().err == ""


@pytest.fixture
def overdue(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Whoever hears a line has a program for which the time is over with it; its grace is as it was."""
    said, wait = threading.Event(), subprocess.Popen.wait

    def waited(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout != LIMIT_SECONDS:
            return wait(self, timeout)
        assert said.wait(20)
        raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", waited)
    return lambda _: said.set()


def test_a_program_that_takes_too_long_is_told_to_stop(tmp_path: Path, overdue: Callable[[str], None]) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path / 'tidy')!r}, 'w').close(), sys.exit(7)))\n"
        "print('ready', flush=True); time.sleep(30)"
    )
    done = python(code, seconds=LIMIT_SECONDS, hear=overdue)
    assert (done.timed_out, done.code, done.stdout) == (True, 7, "ready\n")
    assert (tmp_path / "tidy").exists()


def test_one_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch, overdue: Callable[[str], None]) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.3)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(50)"
    )
    done = python(code, seconds=LIMIT_SECONDS, hear=overdue)
    assert (done.timed_out, done.code) == (True, -signal.SIGKILL)


def test_the_time_that_a_program_gets_is_the_given_one() -> None:
    assert python("import time; time.sleep(50)", seconds=0.2).timed_out


@pytest.mark.parametrize("interrupt", [os.killpg, os.kill], ids=["both", "the task alone"])
def test_an_interrupt_waits_for_the_child_to_tidy_up(tmp_path: Path, interrupt: Callable[[int, int], None]) -> None:
    """Ctrl-C at a terminal goes to all that stand there, that of a job at GitHub to the task: flyctl gives its leases
    back after one, Terraform gives everything up after two.
    """
    child = (
        "import signal, sys, time\n"
        "def tidy(*_):\n"
        f"    open({str(tmp_path / 'tidy')!r}, 'a').write('told ')\n"
        "    end = time.monotonic() + 0.4\n"
        "    while time.monotonic() < end: time.sleep(0.05)\n"
        "    sys.exit(127)\n"
        "signal.signal(signal.SIGINT, tidy); print('ready', flush=True); time.sleep(30)"
    )
    parent = (
        "import sys\nfrom infra import process\n"
        "def hear(line): print(line, flush=True)\n"
        f"process.run([sys.executable, '-c', {child!r}], environ={{}}, seconds=30.0, hear=hear)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == b"ready\n"
        interrupt(running.pid, signal.SIGINT)
        assert running.wait(10) != 0
    assert (tmp_path / "tidy").read_text() == "told "


STANDS_STILL = """\
import os, signal, sys, time
def tidy(*_): open({tidy!r}, "w").close(); sys.exit(1)
signal.signal(signal.SIGTERM, tidy)
sys.stdin.read()  # it has an end as soon as the task watches over this program
open({started!r}, "w").write(str(os.getpid()))
time.sleep(30)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_task_that_is_told_to_stop_takes_flyctl_with_it(tmp_path: Path, root: Path, number: int) -> None:
    """A job that is cancelled, a terminal that is closed: flyctl must not go on alone."""
    flyctl, started, tidy = (tmp_path / name for name in ("flyctl", "started", "tidy"))
    code = STANDS_STILL.format(tidy=str(tidy), started=str(started))
    flyctl.write_text(f"#!{sys.executable}\n{code}")
    flyctl.chmod(0o700)
    environ = {**ENVIRON, "HOME": str(tmp_path), "FLYCTL": str(flyctl)}
    command = [sys.executable, "-m", "infra.program", "status", "--app", "some-app"]
    with subprocess.Popen(command, cwd=root, env=environ, stderr=subprocess.PIPE, start_new_session=True) as task:
        deadline = time.monotonic() + 20
        while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        task.send_signal(number)
        _, told = task.communicate(timeout=20)
    assert task.returncode == 130
    assert b"interrupted; nothing was changed. The same command goes on from there." in told
    assert tidy.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_no_such_program() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["/nowhere/at/all"], environ={}, seconds=1.0)
