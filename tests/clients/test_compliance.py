"""Two checkers that others wrote find nothing wrong with the gateway, on both wires."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.running import TOKEN, Running

MODEL = "sandbox-gpt-5.2"
"""The one that makes llm-comply run all of its tests: it asks for reasoning of models with such names alone."""

DEADLINE_SECONDS = 50


def run(home: Path, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a console script of this environment, with none of the shell's settings."""
    argv = [str(Path(sys.executable).parent / name), *arguments]
    own = {"PATH": "/usr/bin:/bin", "HOME": str(home), **environment}
    return subprocess.run(
        argv, env=own, cwd=home, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )


def test_llm_comply_passes(served: Running, wire: str, tmp_path: Path) -> None:
    asked = ["--format", "openai-chat", "--base-url", f"{served.url}/v1", "--model", MODEL, "--json"]
    done = run(tmp_path, "llm-comply", *asked, "-H", f"x-proxy-wire:{wire}", OPENRESPONSES_API_KEY=TOKEN)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {test["status"] for test in report["results"]} == {"passed"}, report
    assert report["summary"]["passed"] == report["summary"]["total"] >= 9


def test_apiwells_doctor_passes(served: Running, tmp_path: Path) -> None:
    asked = ["doctor", "--deep", "--base-url", f"{served.url}/v1", "--model", MODEL, "--v2-json"]
    done = run(tmp_path, "apiwells", *asked, APIWELLS_API_KEY=TOKEN)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["overall_status"] == "PASS"
    probes = {probe["name"]: probe["status"] for probe in report["probes"]}
    assert {"models", "chat", "streaming", "tool_calling", "structured_output"} <= probes.keys()
    assert set(probes.values()) == {"PASS"}
    assert TOKEN not in done.stdout + done.stderr
