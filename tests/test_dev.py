"""`./dev`: what it installs and when, what it starts, and what it says when it cannot."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra import environ

# It stands for python3 and for the environment's own python: notes each call, and fails where a file tells it to.
FAKE_PYTHON = """#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
{ echo "== $1 ${2:-}"; set; } >>"$TOP/environments"
case "$1 ${2:-}" in
    "-c import sys"*) cat "$TOP/version"; exit "$(cat "$TOP/version_code")" ;;
    "-c import ensurepip"*) [ ! -e "$TOP/no_venv_module" ] ;;
    "-m venv") echo "venv" >>"$TOP/calls"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip") echo "pip $*" >>"$TOP/calls"; [ ! -e "$TOP/slow_pip" ] || sleep 0.5; [ ! -e "$TOP/broken_pip" ] ;;
    *) echo "$*" >>"$TOP/calls"; exit "$(cat "$TOP/exit_code")" ;;
esac
"""
TOOLS = ("cat", "chmod", "cksum", "cp", "dirname", "ln", "mkdir", "readlink", "rm", "sh", "sleep")


@dataclass(frozen=True)
class Clone:
    """A fresh clone whose only Python is a fake."""

    top: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.top / "dev", *arguments], env=self.environment, capture_output=True, text=True, timeout=20
        )

    def calls(self) -> list[str]:
        """What was started since the last question, without pip's fixed flags."""
        note = self.top / "calls"
        lines = note.read_text().splitlines() if note.exists() else []
        note.unlink(missing_ok=True)
        return [f"pip {line.rpartition(' ')[2]}" if line.startswith("pip ") else line for line in lines]


@pytest.fixture
def clone(tmp_path: Path, root: Path) -> Clone:
    shutil.copy2(root / "dev", tmp_path)
    for name, text in {
        "requirements.txt": "runtime\n",
        "requirements-dev.txt": "development\n",
        "version": "3.11\n",
        "version_code": "0\n",
        "exit_code": "0\n",
    }.items():
        (tmp_path / name).write_text(text)
    tools = tmp_path / "path"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    (tools / "python3").write_text(FAKE_PYTHON)
    (tools / "python3").chmod(0o755)
    return Clone(tmp_path, {"PATH": str(tools), "TOP": str(tmp_path)})


def test_it_is_a_shell_script_without_faults_of_syntax(root: Path) -> None:
    assert subprocess.run(["sh", "-n", root / "dev"], timeout=10).returncode == 0


def test_a_task_gets_the_development_set(clone: Clone) -> None:
    assert clone.run("check", "--flag", "a b").returncode == 0
    assert clone.calls() == ["venv", "pip requirements-dev.txt", "-m infra.program check --flag a b"]


def test_what_installs_sees_no_secret_and_the_task_does(clone: Clone) -> None:
    planted = {name: f"planted-in-{name}" for name in environ.SECRETS}
    clone.environment.update(planted)
    assert clone.run("check").returncode == 0
    seen = (clone.top / "environments").read_text().split("== ")[1:]
    steps = ["-c", "-c", "-m venv", "-m pip", "-m infra.program"]
    assert [step.splitlines()[0].strip().partition(" import")[0] for step in seen] == steps
    for name, value in planted.items():
        assert [value in step for step in seen] == [False] * 4 + [True], name


def test_every_installation_demands_hashes(clone: Clone) -> None:
    clone.run("serve")
    clone.run("check")
    installs = [line for line in (clone.top / "calls").read_text().splitlines() if line.startswith("pip ")]
    assert len(installs) == 2
    assert all("--require-hashes" in line for line in installs)


def test_serving_gets_the_runtime_set_alone(clone: Clone) -> None:
    clone.run("serve", "--port", "8081")
    assert clone.calls() == ["venv", "pip requirements.txt", "-m service --dev --port 8081"]


def test_serving_first_and_testing_later_keeps_the_environment(clone: Clone) -> None:
    clone.run("serve")
    clone.calls()
    clone.run("test")
    assert clone.calls() == ["pip requirements-dev.txt", "-m infra.program test"]
    clone.run("serve")
    assert clone.calls() == ["-m service --dev"]


def test_a_second_run_installs_nothing(clone: Clone) -> None:
    clone.run("check")
    clone.calls()
    clone.run("check")
    assert clone.calls() == ["-m infra.program check"]


def test_a_second_run_costs_next_to_nothing(clone: Clone) -> None:
    clone.run("check")

    def fastest(command: list[str | Path]) -> float:
        def once() -> float:
            # Processor time: a machine that is busy with other tests must not decide this one.
            begin = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, env=clone.environment, timeout=20, check=True)
            end = resource.getrusage(resource.RUSAGE_CHILDREN)
            return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime

        return min(once() for _ in range(20))

    directly = fastest([clone.top / ".venv/bin/python", "-m", "infra.program", "check"])
    assert fastest([clone.top / "dev", "check"]) - directly < 0.05


def test_changed_requirements_are_installed(clone: Clone) -> None:
    clone.run("check")
    clone.calls()
    (clone.top / "requirements-dev.txt").write_text("other\n")
    clone.run("check")
    assert clone.calls() == ["pip requirements-dev.txt", "-m infra.program check"]


def test_an_environment_that_was_never_finished_is_made_anew(clone: Clone) -> None:
    (clone.top / "broken_pip").touch()
    failed = clone.run("check")
    assert failed.returncode == 3
    assert "installing requirements-dev.txt failed" in failed.stderr
    (clone.top / "broken_pip").unlink()
    clone.calls()
    assert clone.run("check").returncode == 0
    assert clone.calls() == ["venv", "pip requirements-dev.txt", "-m infra.program check"]


def test_an_environment_whose_python_is_gone_is_made_anew(clone: Clone) -> None:
    clone.run("check")
    clone.calls()
    (clone.top / ".venv/bin/python").unlink()
    (clone.top / ".venv/bin/python").symlink_to(clone.top / "gone")
    clone.run("check")
    assert clone.calls() == ["venv", "pip requirements-dev.txt", "-m infra.program check"]


def test_an_environment_that_was_moved_is_made_to_fit(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> None:
    clone.run("check")
    moved = tmp_path_factory.mktemp("elsewhere") / "clone"
    shutil.copytree(clone.top, moved, symlinks=True)
    clone.calls()
    subprocess.run([moved / "dev", "check"], env=clone.environment, timeout=10, capture_output=True, check=True)
    assert clone.calls() == ["venv", "pip requirements-dev.txt", "-m infra.program check"]


def test_two_at_once_install_once(clone: Clone) -> None:
    (clone.top / "slow_pip").touch()
    both = [
        subprocess.Popen([clone.top / "dev", "check"], env=clone.environment, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(timeout=20) for process in both] == [0, 0]
    calls = clone.calls()
    assert calls.count("venv") == calls.count("pip requirements-dev.txt") == 1
    assert not (clone.top / ".venv.lock").is_symlink()


def test_a_lock_whose_holder_died_is_seen_through(clone: Clone) -> None:
    done = subprocess.Popen(["true"])
    done.wait(timeout=10)
    os.symlink(str(done.pid), clone.top / ".venv.lock")
    assert clone.run("check").returncode == 0


def test_the_exit_code_is_the_tasks(clone: Clone) -> None:
    (clone.top / "exit_code").write_text("4\n")
    assert clone.run("check").returncode == 4
    assert clone.run("serve").returncode == 4


@pytest.mark.parametrize(
    ("present", "told"),
    [("3.9", "found only 3.9"), ("", "needs Python 3.11 or newer; install")],
    ids=["old", "none"],
)
def test_an_old_python_is_one_line(clone: Clone, present: str, told: str) -> None:
    (clone.top / "version").write_text(f"{present}\n")
    (clone.top / "version_code").write_text("1\n")
    refused = clone.run("check")
    assert refused.returncode == 3
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_newer_python_beside_an_old_one_is_found(clone: Clone) -> None:
    tools = clone.top / "path"
    shutil.copy2(tools / "python3", tools / "python3.12")
    (tools / "python3").write_text("#!/bin/sh\necho 3.9\nexit 1\n")
    assert clone.run("check").returncode == 0


def test_a_python_without_venv_is_one_line(clone: Clone) -> None:
    (clone.top / "no_venv_module").touch()
    refused = clone.run("check")
    assert refused.returncode == 3
    assert "python3-venv" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (clone.top / ".venv").exists()
