"""Token counts in the shape of chat completions, every member of the official schema present."""

from __future__ import annotations

from typing import Any

from service.events import Usage

PROMPT_DETAILS = {"cached_tokens": 0, "audio_tokens": 0}
COMPLETION_DETAILS = {
    "reasoning_tokens": 0,
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}


def usage_object(usage: Usage) -> dict[str, Any]:
    """The `usage` member: the provider's own details kept, what it left out added as 0."""
    reported = usage.reported or {}
    out: dict[str, Any] = {n: v for n, v in reported.items() if type(v) is int and v >= 0 and n.endswith("_tokens")}
    total = out.get("total_tokens")
    out["prompt_tokens"] = usage.prompt_tokens
    out["completion_tokens"] = usage.completion_tokens
    out["total_tokens"] = total if total is not None else usage.prompt_tokens + usage.completion_tokens
    prompt = {**PROMPT_DETAILS, "cached_tokens": usage.cached_tokens}
    completion = {**COMPLETION_DETAILS, "reasoning_tokens": usage.reasoning_tokens}
    out["prompt_tokens_details"] = _with_counts(prompt, reported.get("prompt_tokens_details"))
    out["completion_tokens_details"] = _with_counts(completion, reported.get("completion_tokens_details"))
    if usage.estimated:
        out["estimated"] = True
    return out


def _with_counts(known: dict[str, int], details: object) -> dict[str, int]:
    """What is known, and the counts among the provider's details."""
    if isinstance(details, dict):
        known |= {n: v for n, v in details.items() if type(v) is int and v >= 0}  # a bool is none
    return known
