"""What is generated and committed: the contract's code, the failure table, the alert rules, the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def files() -> dict[Path, str]:
    """Every generated file by its place, with the text that its source asks for."""
    from infra import alerts, contract, dashboard, failures  # here, because what they import is slow to load

    return {**contract.files(), **alerts.files(), **dashboard.files(), **failures.files()}


def write(wanted: Mapping[Path, str]) -> None:
    """Write each file."""
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def stale(wanted: Mapping[Path, str]) -> list[str]:
    """One line for each committed file that is not what its source says."""
    return [
        f"{path.relative_to(ROOT)} is stale; run `invoke generate`"
        for path, text in wanted.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
