"""The generated part of docs/failures.md: the failure table, as the service itself tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "failures.md"
BEGIN = "<!-- What follows is written by `invoke generate`. -->\n"
END = "<!-- Here it ends. -->\n"


def files() -> dict[Path, str]:
    """The page with its table made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = subprocess.run(
        (sys.executable, "-m", "service", "failures"), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {PAGE: f"{before}{BEGIN}\n{table}\n{END}{after}"}
