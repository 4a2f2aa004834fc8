"""Thinking: every way to ask for it becomes what the model declares, no more than asked where it can less."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.prompt import Thinking
from service.routing.model import Parameter
from service.routing.thinking import BUDGETS, RANKS, effort_of, lift_thinking

EFFORTS = list(BUDGETS)


def declared(**schemas: dict[str, Any]) -> dict[str, Parameter]:
    return {name: Parameter(name, schema, schema.get("default")) for name, schema in schemas.items()}


GPT = declared(reasoning_effort={"enum": ["none", "low", "medium", "high", "xhigh"]})
GPT_PRO = declared(reasoning_effort={"enum": ["medium", "high"]})
OPUS = declared(output_effort={"enum": ["max", "high", "medium", "low", "none"], "default": "high"})
GEMINI_3 = declared(thinking_level={"enum": ["low", "high"], "default": "low"})
GEMINI_25 = declared(thinking_budget={"type": "number", "minimum": 0, "maximum": 24576, "default": 0})
GLM = declared(enable_thinking={"type": "boolean"})
MIMO = declared(deep_thinking={"type": "boolean"})
SEED = declared(enable_thinking={"type": "boolean"}, reasoning_effort={"enum": ["low", "medium", "high"]})
OPUS_45 = declared(
    thinking_budget={"type": "number", "minimum": 0, "maximum": 63999},
    output_effort={"enum": ["high", "medium", "low"]},
)
TEXT_BUDGET = declared(thinking_budget={"enum": ["1024", "8192", "2048"]})
WORD_SWITCH = declared(enable_thinking={"enum": ["auto", "enabled", "disabled"]})


@pytest.mark.parametrize(
    ("controls", "asked", "sent"),
    [
        (GPT, {"effort": "high"}, {"reasoning_effort": "high"}),
        (GPT, {"effort": "HIGH"}, {"reasoning_effort": "high"}),
        (GPT, {"effort": "minimal"}, {"reasoning_effort": "low"}),
        (GPT, {"effort": "max"}, {"reasoning_effort": "xhigh"}),
        (GPT, {"effort": "none"}, {"reasoning_effort": "none"}),
        (GPT, {"enabled": False}, {"reasoning_effort": "none"}),
        (GPT, {"enabled": False, "effort": "high"}, {"reasoning_effort": "none"}),
        (GPT, {"enabled": True}, {"reasoning_effort": "medium"}),
        (GPT, {"budget_tokens": 10_000}, {"reasoning_effort": "medium"}),
        (GPT, {"budget_tokens": 0}, {"reasoning_effort": "none"}),
        (GPT, {"budget_tokens": 31_999}, {"reasoning_effort": "high"}),
        (GPT_PRO, {"effort": "low"}, {"reasoning_effort": "medium"}),
        (GPT_PRO, {"effort": "none"}, {"reasoning_effort": "medium"}),
        (OPUS, {"enabled": True}, {"output_effort": "high"}),
        (OPUS, {"effort": "xhigh"}, {"output_effort": "high"}),
        (GEMINI_3, {"effort": "medium"}, {"thinking_level": "low"}),
        (GEMINI_3, {"effort": "minimal"}, {"thinking_level": "low"}),
        (GEMINI_25, {"effort": "medium"}, {"thinking_budget": 8192}),
        (GEMINI_25, {"effort": "max"}, {"thinking_budget": 24576}),
        (GEMINI_25, {"effort": "none"}, {"thinking_budget": 0}),
        (GEMINI_25, {"budget_tokens": 5000}, {"thinking_budget": 5000}),
        (GEMINI_25, {"budget_tokens": 10**6}, {"thinking_budget": 24576}),
        (GEMINI_25, {"enabled": True}, {"thinking_budget": 8192}),
        (GEMINI_25, {"enabled": False}, {"thinking_budget": 0}),
        (GLM, {"effort": "low"}, {"enable_thinking": True}),
        (GLM, {"effort": "none"}, {"enable_thinking": False}),
        (GLM, {"budget_tokens": 0}, {"enable_thinking": False}),
        (MIMO, {"budget_tokens": 100}, {"deep_thinking": True}),
        (SEED, {"effort": "high"}, {"enable_thinking": True, "reasoning_effort": "high"}),
        (SEED, {"effort": "none"}, {"enable_thinking": False}),
        (OPUS_45, {"effort": "high"}, {"thinking_budget": 24576, "output_effort": "high"}),
        (OPUS_45, {"budget_tokens": 8000}, {"thinking_budget": 8000}),
        (OPUS_45, {"enabled": False}, {"thinking_budget": 0}),
        (TEXT_BUDGET, {"budget_tokens": 5000}, {"thinking_budget": "2048"}),
        (TEXT_BUDGET, {"budget_tokens": 5}, {"thinking_budget": "1024"}),
        (WORD_SWITCH, {"enabled": True}, {"enable_thinking": "enabled"}),
        (WORD_SWITCH, {"enabled": False}, {"enable_thinking": "disabled"}),
        (GPT, {"effort": "ultra"}, {}),
        ({}, {"effort": "high"}, {}),
    ],
)
def test_what_is_asked_becomes_what_the_model_takes(
    controls: dict[str, Parameter], asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert lift_thinking(Thinking(**asked), controls) == sent


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EFFORTS[1:]), st.lists(st.sampled_from(EFFORTS), min_size=1, unique=True))
def test_an_effort_is_never_more_than_asked_if_the_model_knows_less(effort: str, known: list[str]) -> None:
    sent = lift_thinking(Thinking(effort=effort), declared(reasoning_effort={"enum": known}))["reasoning_effort"]
    assert sent in known
    lower = [word for word in known if 0 < RANKS[word] <= RANKS[effort]]
    if lower:
        assert sent == max(lower, key=RANKS.__getitem__)
    elif known != ["none"]:
        assert sent == min(set(known) - {"none"}, key=RANKS.__getitem__)


@settings(max_examples=300, deadline=None)
@given(st.integers(-10, 10**7), st.integers(0, 5000), st.integers(0, 10**5))
def test_a_budget_stays_in_the_models_range(budget: int, low: int, width: int) -> None:
    schema = {"type": "number", "minimum": low, "maximum": low + width}
    sent = lift_thinking(Thinking(budget_tokens=budget), declared(thinking_budget=schema))["thinking_budget"]
    assert low <= sent <= low + width
    if low <= budget <= low + width:
        assert sent == max(budget, 0)


@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_becomes_a_budget_and_back(effort: str) -> None:
    assert effort_of(BUDGETS[effort]) == effort


@settings(max_examples=100, deadline=None)
@given(st.integers(-5, 10**6), st.integers(0, 10**6))
def test_more_budget_is_never_less_effort(budget: int, more: int) -> None:
    assert RANKS[effort_of(budget)] <= RANKS[effort_of(budget + more)]
    assert (effort_of(budget) == "none") == (budget <= 0)


def test_a_budget_without_a_maximum_is_still_a_number_that_json_holds() -> None:
    sent = lift_thinking(Thinking(budget_tokens=10**400), declared(thinking_budget={"type": "number"}))
    assert sent == {"thinking_budget": 2**53}
