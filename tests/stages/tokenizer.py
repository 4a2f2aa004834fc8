"""The first step of a tokenizer, which needs no vocabulary: it sets the fewest tokens that a text can become."""

from __future__ import annotations

import re


def pretokens(text: str) -> int:
    """In how many pieces o200k cuts a text before it looks for tokens in each: it cannot make fewer tokens."""
    mark = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    letters = rf"[^\r\nA-Za-zÀ-ÿ0-9]?[A-Z]*[a-zÀ-ÿ]+{mark}|[^\r\nA-Za-zÀ-ÿ0-9]?[A-Z]+[a-zÀ-ÿ]*{mark}"
    rest = r"[0-9]{1,3}| ?[^\sA-Za-zÀ-ÿ0-9]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    return len(re.findall(f"{letters}|{rest}", text))
