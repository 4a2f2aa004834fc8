"""Writes a run down as Markdown: one table of figures, ratios and bars, and what is needed to judge them."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from statistics import median

from bench.bars import MEASURES, Bar, Measure
from bench.contestants import BARE, DIRECT
from bench.phases import Figures, Run
from bench.processes import ROOT

PACKAGES = ("uvicorn", "uvloop", "httptools", "aiohttp", "fastapi", "pydantic", "orjson", "fastapi_poe")
HEAD = ("| Measure | Contestant | Median | Ratio to bare | Range | Bar | |", "|---|---|--:|--:|--:|---|---|")


def markdown(run: Run, seconds: float) -> str:
    """The whole report of a run without a wrong answer."""
    rows = [row for name, measure in MEASURES.items() if name in run.figures for row in _rows(run, name, measure)]
    lines = [*_conditions(run, seconds), "", *HEAD, *rows, ""]
    lines += [f"- {note}" for note in (*run.notes, *_busy(run))]
    return "\n".join(lines) + "\n"


def _rows(run: Run, name: str, measure: Measure) -> list[str]:
    figures = run.figures[name]
    rows: list[str] = []
    for contestant in figures.rounds:
        middle = figures.median(contestant)
        ratios = _ratios(figures, contestant, BARE)
        bar = measure.bars.get(contestant)
        cells = (
            measure.title if not rows else "",
            contestant,
            f"{middle:,.{measure.decimals}f} {measure.unit}" if isfinite(middle) else "∞",
            _ratio(median(ratios)) if ratios else "",
            f"{_ratio(min(ratios))} – {_ratio(max(ratios))}" if len(ratios) > 1 else "",
            *(("", "") if bar is None else _verdict(figures, contestant, bar, measure.unit)),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _verdict(figures: Figures, contestant: str, bar: Bar, unit: str) -> tuple[str, str]:
    """The bar, and whether the median keeps it; a bar on a ratio cannot be judged without its reference."""
    if bar.share_of is None:
        return bar.text(unit), _passes(bar.is_met(figures.median(contestant)))
    ratios = _ratios(figures, contestant, bar.share_of)
    return bar.text(unit), _passes(bar.is_met(median(ratios))) if ratios else "not judged"


def _passes(met: bool) -> str:
    return "pass" if met else "**miss**"


def _ratios(figures: Figures, contestant: str, reference: str) -> list[float]:
    """One ratio a round; none for the reference itself, nor for the direct call, which is no pass-through."""
    if contestant in {reference, DIRECT} or reference not in figures.rounds:
        return []
    return figures.ratios(contestant, reference)


def _ratio(ratio: float) -> str:
    if not isfinite(ratio):
        return "∞"
    return f"{ratio * 100:.1f} %" if ratio < 1 else f"{ratio:.2f} ×"


def _conditions(run: Run, seconds: float) -> list[str]:
    plan = run.plan
    return [
        f"- {_processor()}, Python {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"commit {_commit()}; gateways on core {run.cores.gateway}, load and upstream on core {run.cores.load}",
        "- " + ", ".join(f"{package} {version(package)}" for package in PACKAGES),
        f"- {plan.rounds} rounds of {plan.seconds:g} s and {plan.connections} connections, order reversed every other "
        f"round; {plan.paced_streams} paced streams of {plan.paced_seconds} s; {plan.starts} starts; "
        f"{seconds:.0f} s in all",
        f"- {run.answers:,} answers, every one checked whole, none wrong",
        f"- {run.noise}",
    ]


def _busy(run: Run) -> list[str]:
    """How busy the contestants' core was: where it was half idle, wake-ups weigh more on the figures."""
    notes = []
    for name, figures in run.figures.items():
        if name.endswith(": core busy"):
            shares = ", ".join(f"{who} {median(values) * 100:.0f} %" for who, values in figures.rounds.items())
            notes.append(f"{name}: {shares}")
    return notes


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
