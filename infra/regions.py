"""Fly's regions, as of August 2026, and what took the place of those that are gone."""

from __future__ import annotations

from collections.abc import Mapping

REGIONS = frozenset(
    [
        "ams",
        "arn",
        "bom",
        "cdg",
        "dfw",
        "ewr",
        "fra",
        "gru",
        "iad",
        "jnb",
        "lax",
        "lhr",
        "nrt",
        "ord",
        "sin",
        "sjc",
        "syd",
        "yyz",
    ]
)
RETIRED: Mapping[str, str] = {
    **dict.fromkeys(["atl", "den", "mia", "gdl", "qro"], "dfw"),
    **dict.fromkeys(["bog", "gig", "scl", "eze"], "gru"),
    "bos": "ewr",
    "phx": "lax",
    "sea": "sjc",
    "yul": "yyz",
    "waw": "ams",
    "mad": "cdg",
    "otp": "fra",
    "hkg": "sin",
}


def problem(code: str) -> str:
    """What is wrong with a region's code; empty for one that is good. flyctl sends any code as it is."""
    if code in REGIONS:
        return ""
    if code in RETIRED:
        return f"region {code} was retired by Fly; its replacement is {RETIRED[code]}"
    return f"{code[:20]!r} is no region; there are {' '.join(sorted(REGIONS))}"
