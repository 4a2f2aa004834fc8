"""The generated part of docs/failures.md: the failure table, as the service tells it, and the matrix of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra import environ

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "failures.md"
BEGIN = "<!-- What follows is written by `invoke generate`. -->\n"
END = "<!-- Here it ends. -->\n"


def files() -> dict[Path, str]:
    """The page with its tables made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table, matrix = _told("service", "failures"), _told("tests.faults.page")
    return {PAGE: f"{before}{BEGIN}\n{table}\n## The matrix\n\n{matrix}\n{END}{after}"}


def _told(module: str, *arguments: str) -> str:
    command = (sys.executable, "-m", module, *arguments)
    environment = environ.for_development(os.environ)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout
