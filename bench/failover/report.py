"""The scorecard as a table in Markdown, and its place in a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.failover.card import Scorecard
from bench.failover.faults import FAULTS
from bench.failover.judge import Verdict

BEGIN: Final = "<!-- the scorecard, written by ./dev failover -->"
END: Final = "<!-- end of the scorecard -->"
WAITS: Final[Mapping[str, str]] = {
    "full": "the published waits",
    "short": "waits a quarter of the published ones",
}


def markdown(card: Scorecard) -> str:
    """The table: a line for each fault, a column for each wire, passes counted and everything else with its reason."""
    score = ", ".join(f"{column} wire {card.passes(column)}/{_counted(card, column)}" for column in card.columns)
    head = ["", "Fault on the asked model", *card.columns]
    lines = [f"Passes: **{score}** ({WAITS[card.profile.name]}).", "", _row(head), _row(["---"] * len(head))]
    for fault in FAULTS:
        cells = [column[fault.id] for column in card.columns.values() if fault.id in column]
        if cells:
            lines.append(_row([fault.id, fault.title, *map(_cell, cells)]))
    return "\n".join(lines) + "\n"


def placed(card: Scorecard, document: str) -> str:
    """The document with this scorecard between its marks. ValueError where it has none."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no place for a scorecard: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{markdown(card)}\n{END}{after}"


def _counted(card: Scorecard, column: str) -> int:
    return sum(id_.startswith("S") for id_ in card.columns[column])


def _cell(verdict: Verdict) -> str:
    if verdict.word == "pass":
        return f"pass, {verdict.seconds:.1f} s"
    return f"**{verdict.word}**: {verdict.reason}".replace("|", "\\|").replace("\n", " ")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")
