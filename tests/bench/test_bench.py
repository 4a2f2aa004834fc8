"""The bench runs from its command line, prints its table, and is void when an answer is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.phases import answers_counted, answers_logged

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


def test_the_gateway_logs_and_counts_each_answer_and_nothing_else() -> None:
    wires = ("--contestant", "gateway, chat wire", "--contestant", "gateway, bot wire")
    done = bench("--phase", "whole", "--phase", "failover", "--phase", "paced", *wires)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| added by a failed attempt, p50 |" in done.stdout
    told = re.search(r"the gateway answered ([\d,]+) times, logged ([\d,]+) answers and counted ([\d,]+)", done.stdout)
    assert told is not None
    assert told[1] == told[2] == told[3] != "0"


LINE = b'{"message":"request","path":"%b","outcome":"%b"}\n'
SERIES = b'poe_proxy_requests_total{dialect="%b",wire="chat",model="m",outcome="%b"} %b\n'


def test_only_answers_that_went_well_are_counted(tmp_path: Path) -> None:
    chat = b"/chat/completions"
    log = tmp_path / "log"
    own = [b'{"message":"serving"}\n', LINE % (b"/models", b"ok"), LINE % (chat, b"cancelled")]
    log.write_bytes(b"".join([LINE % (chat, b"ok"), *own, LINE % (chat, b"ok")]))
    assert answers_logged(log) == 2
    series = [(b"chat", b"ok", b"2.0"), (b"chat", b"cancelled", b"1.0"), (b"models", b"ok", b"3.0")]
    text = b"".join([b"# TYPE poe_proxy_requests_total counter\n", *[SERIES % one for one in series]])
    assert answers_counted(text) == 2


def test_a_contestant_that_is_not_there_is_told_in_one_line() -> None:
    done = bench("--phase", "whole", "--pid", "other=1")
    assert done.returncode == 3
    assert done.stderr == "bench: no --url for other\n"
