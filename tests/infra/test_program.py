"""The program behind `./dev`: its list, its refusals and its exit codes."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke import Collection, Context

import tasks
from infra.program import BROKEN_PIPE, Tasks
from infra.task import ExitCode, end, task
from service.version import VERSION
from tests.infra.terminal import on_terminal

Run = Callable[..., tuple[int, str, str]]
SENSELESS = "means nothing to these tasks"
TOO_SMALL = "takes a whole number above 0"


def pretend_tasks() -> Collection:
    """Made anew for each program, because invoke uses up a task's help as it reads it."""

    @task(help={"machines": "N: how many", "host": "H: which address"})
    def scale(c: Context, machines: int = 1, host: str = "", dry_run: bool = False, github: bool = True) -> None:
        """Set the number of machines.

        And more about it.
        """
        print(f"machines={machines} host={host} dry_run={dry_run} github={github}")

    @task(help={"soft": "N: a limit", "port": "P: a port"})
    def limits(c: Context, soft: int = 0, port: int = 8080) -> None:
        """Set limits; 0 is not given."""
        print(f"soft={soft} port={port}")

    @task(help={"follow": "go on", "app": "NAME: the app"})
    def logs(c: Context, follow: bool = False, app: str = "") -> None:
        """Tell what was said."""

    @task
    def drift(c: Context) -> None:
        """End with the code for drift."""
        end(ExitCode.DRIFT, "one key differs")

    @task
    def interrupt(c: Context) -> None:
        """Be interrupted."""
        raise KeyboardInterrupt

    @task
    def bench(c: Context) -> None:
        """Measure."""
        print(shlex.split(c.remainder))

    return Collection(scale, limits, logs, drift, interrupt, bench)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a small program with these words; gives exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        program = Tasks(name="./dev", binary="./dev", namespace=pretend_tasks())
        with pytest.raises(SystemExit) as ended:
            program.run(["./dev", *words])
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_a_task_that_is_done_exits_0(run: Run) -> None:
    assert run("scale", "--machines", "3", "--dry-run", "--no-github") == (
        0,
        "machines=3 host= dry_run=True github=False\n",
        "",
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("scael",), "./dev: unknown word scael; did you mean scale?"),
        (("zzzzzz",), "./dev: unknown word zzzzzz; ./dev --list shows what there is"),
        (("scale", "--machine", "3"), "./dev: unknown word --machine; did you mean --machines?"),
        (("scale", "--machines", "two"), "./dev: --machines takes a whole number, not 'two'"),
        (("scale", "--machines=1.5"), "./dev: --machines takes a whole number, not '1.5'"),
        (("scale", "--machines"), "./dev: --machines needs a value"),
        (("scale", "--dry-run=x"), "./dev: unknown word x; ./dev scale --help shows its flags"),
        (("scale", "surplus"), "./dev: unknown word surplus; ./dev scale --help shows its flags"),
        (("--help", "scael"), "./dev: unknown word scael; did you mean scale?"),
        (("--list", "nowhere"), "./dev: unknown topic nowhere; ./dev --list shows what there is"),
        (("--dry", "scale"), f"./dev: --dry {SENSELESS}; did you mean --dry-run, behind the task's name?"),
        (("-R", "scale"), f"./dev: -R {SENSELESS}; did you mean --dry-run, behind the task's name?"),
        (("-f", "/nowhere", "scale"), f"./dev: -f {SENSELESS}"),
        (("-T", "1", "scale"), f"./dev: -T {SENSELESS}"),
        (("--command-timeout", "1", "scale"), f"./dev: --command-timeout {SENSELESS}"),
        (("scale", "-f"), f"./dev: -f {SENSELESS}"),
        (("logs", "-f"), f"./dev: -f {SENSELESS}; did you mean --follow?"),
        (("logs", "-f", "x"), f"./dev: -f {SENSELESS}; did you mean --follow?"),
        (("logs", "--pty"), f"./dev: --pty {SENSELESS}"),
        (("logs", "-F"), "./dev: -F needs a value"),
        (("--list", "-f"), f"./dev: -f {SENSELESS}"),
        (("--app", "x", "logs"), "./dev: --app belongs behind the task's name"),
        (("--app=x", "logs"), "./dev: --app belongs behind the task's name"),
        (("--ap", "x", "logs"), "./dev: unknown word --ap; did you mean --app, behind the task's name?"),
        (("--verson",), "./dev: unknown word --verson; did you mean --version?"),
        (("limits", "--soft", "0"), f"./dev: --soft {TOO_SMALL}, not 0; ./dev limits --help tells more"),
        (("limits", "--soft=-1"), f"./dev: --soft {TOO_SMALL}, not -1; ./dev limits --help tells more"),
        (("scale", "--host="), "./dev: --host needs a value, and got an empty one"),
        (("scale", "--host", ""), "./dev: --host needs a value, and got an empty one"),
        (("scale", "--", "--dry-run"), "./dev: unknown word --dry-run; no task takes words behind --"),
    ],
)
def test_wrong_use_is_one_line_and_exits_2(run: Run, words: tuple[str, ...], line: str) -> None:
    code, _, told = run(*words)
    assert (code, told) == (2, f"{line}\n")


def test_a_zero_is_refused_only_where_it_would_mean_that_nothing_was_given(run: Run) -> None:
    assert run("limits", "--port", "0") == (0, "soft=0 port=0\n", "")


def numbers() -> list[tuple[str, str]]:
    """Every flag of every task that says by a 0 that it was not given."""
    contexts = tasks.namespace.to_contexts()
    flags = [(str(each.name), flag) for each in contexts for flag in each.args.values()]
    return [(name, f"--{flag.name}".replace("_", "-")) for name, flag in flags if flag.kind is int and not flag.default]


@pytest.mark.parametrize(("name", "flag"), numbers())
def test_a_zero_is_not_passed_over_by_any_task(
    name: str, flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tasks, "execute", lambda _: None)  # there is no desk here: a task would be a real one
    for value in ("0", "-1"):
        with pytest.raises(SystemExit) as ended:
            Tasks(name="./dev", binary="./dev", namespace=tasks.namespace).run(["./dev", name, f"{flag}={value}"])
        line = f"./dev: {flag} {TOO_SMALL}, not {value}; ./dev {name} --help tells more\n"
        assert (ended.value.code, capsys.readouterr().err) == (2, line)


def test_the_flags_that_a_zero_might_pass_over_are_found() -> None:
    assert {("setup", "--machines"), ("scale.vm", "--memory"), ("scale.auto", "--soft")} <= set(numbers())


def test_the_tasks_own_exit_code_and_line_come_through(run: Run) -> None:
    assert run("drift") == (4, "", "one key differs\n")


def test_an_interrupt_is_no_traceback(run: Run) -> None:
    assert run("interrupt") == (130, "", "")


def test_a_host_is_no_cry_for_help(run: Run) -> None:
    assert "host=example.com" in run("scale", "--host", "example.com")[1]
    assert run("scale", "-h")[1].startswith("Usage: ./dev scale [--machines N] [--host H]")


def test_help_shows_the_docstring_and_each_flag(run: Run) -> None:
    code, shown, _ = run("scale", "--help")
    assert code == 0
    assert "And more about it." in shown
    assert "--machines N" in shown
    assert "how many" in shown
    assert "--no-github" in shown


def test_the_list_of_one_topic_has_its_tasks_by_their_whole_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Tasks(name="./dev", binary="./dev", namespace=tasks.namespace).run(["./dev", "--list", "certs"])
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines() if re.match(r"  \w", line)]
    assert (ended.value.code, shown) == (0, ["certs", "certs.add", "certs.check", "certs.remove"])


@pytest.mark.parametrize("words", [(), ("--list",), ("--help",)], ids=["nothing", "list", "help"])
def test_the_list_has_every_task_with_its_flags_and_first_line(run: Run, words: tuple[str, ...]) -> None:
    code, shown, _ = run(*words)
    assert code == 0
    assert "scale --machines N --host H --dry-run --no-github\n      Set the number of machines.\n" in shown
    assert "drift\n      End with the code for drift.\n" in shown


def test_the_list_has_first_what_is_about_fly(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Tasks(name="./dev", binary="./dev", namespace=tasks.namespace).run(["./dev", "--list"])
    listed = re.findall(r"^  ([\w.]+)", capsys.readouterr().out, re.MULTILINE)
    assert listed[0] == "setup"
    assert listed.index("infra.vars") < listed.index("serve")


@pytest.mark.parametrize(
    "words", [["--list"], ["setup", "--help"], ["scale.auto", "--help"], ["setup", "--region", "x"]]
)
def test_on_a_terminal_lines_end_between_words(root: Path, words: list[str]) -> None:
    shown = on_terminal(
        root, f"import sys; sys.argv[1:] = {words}; from infra import program; program.main()", COLUMNS="60"
    )
    lines = shown.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 60 < len(" ".join(lines))


def test_the_version_is_that_of_the_service(root: Path) -> None:
    command = [sys.executable, "-m", "infra.program", "--version"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == f"poe-proxy {VERSION}\n"


def test_no_task_has_short_flags_or_a_flag_without_a_meaning() -> None:
    for context in tasks.namespace.to_contexts():
        for flag in context.args.values():
            assert len(flag.names) == 1, f"{context.name}: {flag.names}"
            assert flag.help, f"{context.name} --{flag.name}"


def test_a_task_tells_its_flags_more_than_once() -> None:
    @task(help={"machines": "N: how many"})
    def scale(c: Context, machines: int = 1) -> None:
        """Scale."""

    assert [flag.help for _ in range(2) for flag in scale.get_arguments()] == ["N: how many"] * 2


def test_every_task_says_in_one_line_what_it_does() -> None:
    for name in tasks.namespace.task_names:
        summary = (tasks.namespace[name].__doc__ or "").strip().partition("\n")[0]
        assert summary.endswith("."), name


def test_a_list_needs_no_library_but_invoke(root: Path) -> None:
    """What keeps it short: everything larger is imported by the task that needs it."""
    code = "import sys, tasks, infra.program; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-Ic", f"import sys; sys.path[0:0] = [{str(root)!r}]; {code}"],
                          capture_output=True, text=True, check=True, timeout=20)  # fmt: skip
    ours = {"invoke", "infra", "tasks", "yaml"}  # invoke looks for a faster yaml than its own
    libraries = {each.name.partition(".")[0] for each in (Path(pytest.__file__).parents[1]).iterdir()} - ours
    startup = subprocess.run(
        [sys.executable, "-Ic", "import sys; print(*{name.partition('.')[0] for name in sys.modules})"],
        capture_output=True, text=True, check=True, timeout=20)  # fmt: skip
    assert set(done.stdout.split()) & libraries <= set(startup.stdout.split())


def test_who_reads_no_further_causes_no_complaint(root: Path) -> None:
    """`./dev --list | head`."""
    command = [sys.executable, "-m", "infra.program", "--list"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.close()
        _, told = running.communicate(timeout=20)
    assert (running.returncode, told) == (BROKEN_PIPE, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_a_failure_in_one_line(root: Path) -> None:
    command = [sys.executable, "-m", "infra.program", "--list"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=root, stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (1, b"./dev: No space left on device\n")


def test_a_reader_that_leaves_in_the_middle_ends_the_task() -> None:
    @task
    def speak(c: Context) -> None:
        """Speak to nobody."""
        raise BrokenPipeError

    with pytest.raises(SystemExit) as ended:
        Tasks(name="./dev", binary="./dev", namespace=Collection(speak)).run(["./dev", "speak"])
    assert ended.value.code == BROKEN_PIPE


def test_a_folder_that_may_not_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @task
    def keep(c: Context) -> None:
        """Keep something."""
        raise PermissionError(13, "Permission denied", ".poe-proxy")

    with pytest.raises(SystemExit) as ended:
        Tasks(name="./dev", binary="./dev", namespace=Collection(keep)).run(["./dev", "keep"])
    assert (ended.value.code, capsys.readouterr().err) == (1, "./dev: .poe-proxy: Permission denied\n")


def test_a_terminal_without_our_marks_is_no_failure(root: Path) -> None:
    command = [sys.executable, "-m", "infra.program", "--list"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=20, check=True)
    assert "./dev TASK [--flags] ?" in done.stdout


HANGS = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from infra import program
ThreadPoolExecutor(1).submit(time.sleep, 30)
print("told")
program.leave(4)
"""


def test_a_thread_that_is_left_behind_does_not_hold_the_program(root: Path) -> None:
    """Python waits for those of a pool at its end, such as one that waits for a name server."""
    done = subprocess.run([sys.executable, "-c", HANGS], cwd=root, capture_output=True, timeout=15, check=False)
    assert (done.returncode, done.stdout) == (4, b"told\n")


def test_the_list_comes_at_once(root: Path) -> None:
    """In less than twice the time that Python needs to import invoke, on whatever machine."""
    # Compiled code may be kept, as it is on a desk: compiling takes longer than everything else.
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def seconds(*words: str) -> float:
        # Processor time: a machine that is busy with other tests must not decide this one.
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, *words]
        subprocess.run(command, cwd=root, env=environ, check=True, stdout=subprocess.DEVNULL, timeout=20)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime

    pairs = [(seconds("-m", "infra.program", "--list"), seconds("-c", "import invoke")) for _ in range(5)]
    ours, invokes = (min(each) for each in zip(*pairs, strict=True))
    assert ours < 2 * invokes, pairs


@pytest.mark.parametrize("words", [["--help"], ["--name", "two words", "drift"], ["-h", "--list"]])
def test_the_words_after_bench_are_the_benchs_own(run: Run, words: list[str]) -> None:
    assert run("bench", *words) == (0, f"{words}\n", "")
