"""The commands and flags of flyctl v0.4.83 as data, and whether an argument list is one that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

MANY = {"apps destroy": (1, 9), "tokens revoke": (1, 9), "secrets unset": (1, 9), "scale count": (1, 9)}
"""How many arguments make sense where flyctl itself checks nothing; elsewhere it ignores surplus ones in silence."""
FILE = Path(__file__).with_name("flyctl_surface.json")


@cache
def surface() -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def parsed(words: Sequence[str]) -> tuple[str, dict[str, str], list[str]]:
    """Command, flags and arguments of `words` (without the program); `ValueError` for what flyctl would refuse.

    Strict where flyctl is lax: a group's unknown sub-command and surplus words are errors too.
    """
    commands = surface()["commands"]
    length = next((n for n in range(min(3, len(words)), 0, -1) if " ".join(words[:n]) in commands), 0)
    name = " ".join(words[:length])
    if not length or not commands[name]["runnable"]:
        raise ValueError(f"unknown command {' '.join(words[:2])!r}")
    row = commands[name]
    known = {**row["flags"], **surface()["global"]}
    flags, arguments = _apart(words[length:], known, row.get("short", {}))
    least, most = (row["min"], row["max"]) if row["max"] is not None else MANY.get(name, (row["min"], row["min"]))
    if not least <= len(arguments) <= most:
        raise ValueError(f"{name} takes no {len(arguments)} arguments")
    return name, flags, arguments


def _apart(
    words: Sequence[str], known: Mapping[str, str], short: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    flags: dict[str, str] = {}
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = short.get(flag, flag)
        if flag not in known:
            raise ValueError(f"unknown flag: {flag}")
        if known[flag] == "value" and not equals:
            value = next(rest, "")
            if not value:
                raise ValueError(f"flag needs an argument: {flag}")
        flags[flag] = value if equals or known[flag] == "value" else "true"
    return flags, arguments
