"""The program behind `./dev`: its list, its refusals and its exit codes."""

from __future__ import annotations

import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke import Collection, Context

import tasks
from infra.program import Tasks
from infra.task import ExitCode, end, task

Run = Callable[..., tuple[int, str, str]]


def pretend_tasks() -> Collection:
    """Made anew for each program, because invoke uses up a task's help as it reads it."""

    @task(help={"machines": "N: how many", "host": "H: which address"})
    def scale(c: Context, machines: int = 1, host: str = "", dry_run: bool = False, github: bool = True) -> None:
        """Set the number of machines.

        And more about it.
        """
        print(f"machines={machines} host={host} dry_run={dry_run} github={github}")

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

    return Collection(scale, drift, interrupt, bench)


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
        (("scale", "--machines", "two"), "./dev: not a number: 'two'"),
        (("scale", "--machines"), "./dev: --machines needs a value"),
        (("scale", "--dry-run=x"), "./dev: unknown word x; ./dev --list shows what there is"),
        (("scale", "surplus"), "./dev: unknown word surplus; ./dev --list shows what there is"),
        (("--help", "scael"), "./dev: unknown word scael; did you mean scale?"),
        (("--list", "nowhere"), "./dev: Sub-collection 'nowhere' not found!"),
    ],
)
def test_wrong_use_is_one_line_and_exits_2(run: Run, words: tuple[str, ...], line: str) -> None:
    code, _, told = run(*words)
    assert (code, told) == (2, f"{line}\n")


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


@pytest.mark.parametrize("words", [(), ("--list",), ("--help",)], ids=["nothing", "list", "help"])
def test_the_list_has_every_task_with_its_flags_and_first_line(run: Run, words: tuple[str, ...]) -> None:
    code, shown, _ = run(*words)
    assert code == 0
    assert "scale --machines N --host H --dry-run --no-github\n      Set the number of machines.\n" in shown
    assert "drift\n      End with the code for drift.\n" in shown


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


def test_the_list_comes_at_once(root: Path) -> None:
    command = [sys.executable, "-m", "infra.program", "--list"]

    def seconds() -> float:
        # Processor time: a machine that is busy with other tests must not decide this one.
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, timeout=20)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime

    assert min(seconds() for _ in range(5)) < 0.4


@pytest.mark.parametrize("words", [["--help"], ["--name", "two words", "drift"], ["-h", "--list"]])
def test_the_words_after_bench_are_the_benchs_own(run: Run, words: list[str]) -> None:
    assert run("bench", *words) == (0, f"{words}\n", "")
