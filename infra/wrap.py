"""Sentences as wide as the terminal, broken between words: a terminal by itself breaks them anywhere."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import Any

LEAST_COLUMNS = 20
_BLANK = "\xa0"


def columns(stream: Any) -> int:
    """How many characters a line of this terminal holds; 0 for what is no terminal and has lines of any length."""
    return shutil.get_terminal_size().columns if stream.isatty() else 0


def whole(text: str) -> str:
    """Text that no line ends in the middle of."""
    return text.replace(" ", _BLANK)


def wrapped(text: str, width: int, indent: str = "", first: int = 0) -> str:
    """The text in lines of `width`, all but the first indented; what is in backticks stays whole, to be copied.

    `first` characters stand before the text already. Without a width, or with one that leaves no room, nothing is
    broken, and neither is a word that is longer than a line.
    """
    if width - len(indent) >= LEAST_COLUMNS:
        kept = re.sub(r"`[^`\n]+`", lambda command: whole(command[0]), text)
        lines = textwrap.wrap(
            whole(" " * first) + kept, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        text = "\n".join(lines)[first:]
    return text.replace(_BLANK, " ")
