"""Token counts in the shape of chat completions, every member of the official schema present."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.events import Usage


def usage_object(usage: Usage) -> dict[str, Any]:
    """The `usage` member: the provider's own details kept, what it left out added as 0."""
    reported = usage.reported or {}
    prompt = {"cached_tokens": usage.cached_tokens, "audio_tokens": 0}
    completion = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    total = reported.get("total_tokens")
    out: dict[str, Any] = {
        **{name: value for name, value in reported.items() if name.endswith("_tokens") and _is_count(value)},
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total if _is_count(total) else usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": prompt | _counts(reported.get("prompt_tokens_details")),
        "completion_tokens_details": completion | _counts(reported.get("completion_tokens_details")),
    }
    if usage.estimated:
        out["estimated"] = True
    return out


def _counts(details: object) -> dict[str, int]:
    return {k: v for k, v in details.items() if _is_count(v)} if isinstance(details, Mapping) else {}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
