"""The bench runs from its command line, prints its table, and is void when an answer is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="the bench needs Linux and two cores",
)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A tiny run of the bench against the bare pass-through alone."""
    tiny = ("--quick", "--seconds", "0.1", "--connections", "2", "--paced-streams", "3")
    command = [sys.executable, "-m", "bench", *tiny, "--contestant", "direct", "--contestant", "bare", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_run_prints_a_row_for_each_phase() -> None:
    done = bench(
        "--phase", "whole", "--phase", "streams", "--phase", "bodies", "--phase", "latency", "--phase", "paced"
    )
    assert done.returncode == 0, done.stderr
    for measure in (
        "whole answers",
        "100-event streams",
        "200 KB bodies",
        "added latency, p50",
        "paced streams, on time",
    ):
        assert f"| {measure} |" in done.stdout
    assert "every one checked whole, none wrong" in done.stdout


@pytest.mark.parametrize("phase", ["whole", "streams", "bodies"])
def test_one_wrong_letter_voids_the_run(phase: str) -> None:
    done = bench("--phase", phase, "--corrupt")
    assert done.returncode == 1
    assert "**VOID**" in done.stdout
    assert "| bare |" not in done.stdout


def test_a_contestant_that_is_not_there_is_told_in_one_line() -> None:
    done = bench("--phase", "whole", "--pid", "other=1")
    assert done.returncode == 3
    assert done.stderr == "bench: no --url for other\n"
