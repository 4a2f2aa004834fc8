"""Members of an answer that are no part of the vocabulary: sources, refusals, probabilities, a provider's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

THOUGHTS = frozenset({"reasoning_details", "thinking_blocks"})
"""Other places where providers put what a model thought."""
REPEATING = frozenset({"logprobs"})
"""Members whose lists may hold the same thing twice; sources come again with every delta of some providers."""


def merge(
    into: dict[str, Any], members: Mapping[str, Any], *, hide_thoughts: bool = False, repeating: bool = False
) -> None:
    """Add members up: texts and lists grow, everything else is replaced. What is null adds nothing."""
    for name, value in members.items():
        if value is None or (hide_thoughts and name in THOUGHTS):
            continue
        known = into.get(name)
        if isinstance(value, Mapping):
            inner = dict(known) if isinstance(known, Mapping) else {}
            merge(inner, value, hide_thoughts=hide_thoughts, repeating=repeating or name in REPEATING)
            if inner:
                into[name] = inner
        elif isinstance(known, str) and isinstance(value, str):
            into[name] = known + value
        elif isinstance(known, list) and isinstance(value, list):
            into[name] = known + (value if repeating else [each for each in value if each not in known])
        else:
            into[name] = value


def logprobs_object(logprobs: object) -> dict[str, Any] | None:
    """Probabilities of tokens with every member of the official schema; Poe documents that it gives none."""
    return {"content": None, "refusal": None, **logprobs} if isinstance(logprobs, Mapping) and logprobs else None
