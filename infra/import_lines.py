"""Secrets as `flyctl secrets import` reads them back unchanged; what its parser would drop or cut is refused.

The parser knows no escapes, cuts a bare value at `#`, drops an unfinished block in silence, and everything behind a
line of 64 KiB. In double quotes all arrives but what is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST_LINE_BYTES = 60 << 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def encode(secrets: Mapping[str, str]) -> bytes:
    """`NAME="VALUE"` lines; `ValueError` with the name, never the value, of one that would not arrive."""
    return "".join(_line(name, value) for name, value in secrets.items()).encode()


def _line(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name of a secret: letters, digits and underscores")
    reason = _refused(value)
    line = f'{name}="{value}"\n'
    if not reason and len(line.encode()) >= LONGEST_LINE_BYTES:
        reason = f"is longer than {LONGEST_LINE_BYTES >> 10} KiB; use fewer keys or tokens"
    if reason:
        raise ValueError(f"the value of {name} {reason}")
    return line


def _refused(value: str) -> str:
    if not value:
        return "is empty"
    if any(character in value for character in "\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
        return "holds a line break"
    if '"' in value and ("#" in value or value.startswith('""') or value == '"'):
        return "holds a double quote where flyctl would cut it"
    return ""
