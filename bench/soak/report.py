"""What a soak found, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from bench.soak.dice import FAULTS, MIX
from bench.soak.run import Soaked

OBJECTS = "objects "


def markdown(found: Soaked) -> str:
    """How requests ended, and every count before and after; objects are summed, but for those that are left over."""
    ends = ", ".join(f"{count} {name}" for name, count in sorted(found.ledger.ends.items()))
    mix = ", ".join(f"{kind} {share}" for kind, share in MIX.items())
    lines = [
        f"{found.seconds:.0f} s, {sum(found.ledger.ends.values())} requests: {ends}.",
        f"In a hundred: {mix}; {len(FAULTS)} kinds of faults.",
        "",
        "| | before | after |",
        "|---|---|---|",
        *_rows(found),
        "",
        *[f"**left over**: {line}" for line in found.leaked],
        *[f"**wrong**: {complaint}" for complaint in found.ledger.complaints],
    ]
    if found.clean:
        lines.append("Nothing is left over.")
    return "\n".join(lines) + "\n"


def _rows(found: Soaked) -> Iterator[str]:
    before, after = found.before.counts, found.after.counts
    for name in sorted({*before, *after}):
        had, has = before.get(name, 0), after.get(name, 0)
        if not name.startswith(OBJECTS) and (had or has):
            yield f"| {name} | {had} | {has} |"
    sums = [sum(count for name, count in counts.items() if name.startswith(OBJECTS)) for counts in (before, after)]
    yield f"| objects of the service | {sums[0]} | {sums[1]} |"
    yield f"| memory in use, MB | {found.before.rss_mb:.1f} | {found.after.rss_mb:.1f} |"
    yield f"| memory free but not given back, MB | {found.before.slack_mb:.1f} | {found.after.slack_mb:.1f} |"
