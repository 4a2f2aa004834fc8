"""What a system prompt tells a model about its very next answer, as far as the sandbox's models understand it.

Narrow on purpose: the long prompts of coding agents speak of tools and JSON in general, and must not count.
"""

from __future__ import annotations

import re

from service.sandbox.ask import Ask

_ONLY_JSON = re.compile(r"\b(?:answer|respond|reply)\b[^.\n]*\bJSON\b[^.\n]*\b(?:only|nothing else)\b", re.IGNORECASE)
_CALL_NOW = re.compile(r"\bcall\b[^.\n]*\b(?:function|tool)s?\b[^.\n]*\bnow\b", re.IGNORECASE)
_ONE_CALL = re.compile(r"\bcall\b[^.\n]*\bone (?:function|tool) at a time\b", re.IGNORECASE)


def told_to_answer_json(ask: Ask) -> bool:
    """Whether a system message asks for JSON and nothing else."""
    return _told(ask, _ONLY_JSON)


def told_to_call(ask: Ask) -> bool:
    """Whether a system message demands a tool call now; one that only allows it does not count."""
    return _told(ask, _CALL_NOW)


def told_to_call_one(ask: Ask) -> bool:
    """Whether a system message forbids parallel calls."""
    return _told(ask, _ONE_CALL)


def _told(ask: Ask, order: re.Pattern[str]) -> bool:
    return any(order.search(turn.text) for turn in ask.turns if turn.role == "system")
