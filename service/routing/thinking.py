"""How much a model shall think: every caller's way to say it, in every way that a model takes it.

Efforts are ordered none < minimal < low < medium < high < xhigh < max. A model that does not know the asked one gets
the highest that it knows below, so that nobody pays for more than they asked (`none` only if that was asked), else the
lowest above. A budget is clamped to the model's range. Between the two kinds `BUDGETS` converts, down to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.prompt import Thinking
from service.routing.model import Parameter
from service.routing.schema import MAX_INTEGER, finite_number, words_of

BUDGETS: Mapping[str, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 4_096,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 65_536,
}
"""Tokens of thought for an effort."""
RANKS: Mapping[str, int] = {effort: rank for rank, effort in enumerate(BUDGETS)}

EFFORT_CONTROLS = ("reasoning_effort", "output_effort", "thinking_level", "effort")
BUDGET_CONTROLS = ("thinking_budget",)
SWITCHES = ("enable_thinking", "deep_thinking", "enable_reasoning", "reasoning_enabled")
CONTROLS = frozenset({*EFFORT_CONTROLS, *BUDGET_CONTROLS, *SWITCHES})

ON_WORDS = ("true", "enabled", "on")
OFF_WORDS = ("false", "disabled", "off")


def lift_thinking(thinking: Thinking, declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """The controls to set, among those that the model declares; empty where it has none for what was asked.

    A model with several gets each of them set, so that they do not contradict one another.
    """
    budget = thinking.budget_tokens
    effort = None if thinking.effort is None else thinking.effort.lower()
    off = thinking.enabled is False or effort == "none" or (effort is None and budget is not None and budget <= 0)
    controls: dict[str, Any] = {}
    for name in SWITCHES:
        if name in declared:
            _set(controls, name, _switch(declared[name], on=not off))
    for name in BUDGET_CONTROLS:
        if name in declared:
            _set(controls, name, _budget(declared[name], _tokens(effort, budget, declared[name], off=off)))
    has_amount = bool(controls.keys() & BUDGET_CONTROLS)
    for name in EFFORT_CONTROLS:
        if name not in declared:
            continue
        if off:
            _set(controls, name, _nearest(declared[name], "none", only_none=bool(controls)))
        elif effort is not None or not has_amount:
            _set(controls, name, _nearest(declared[name], effort or _effort(budget, declared[name])))
    return controls


def effort_of(budget_tokens: int) -> str:
    """The highest effort that such a budget pays for; `minimal` for the smallest ones."""
    paid = [effort for effort, tokens in BUDGETS.items() if tokens <= budget_tokens]
    return "minimal" if paid[-1:] == ["none"] and budget_tokens > 0 else (paid or ["none"])[-1]


def _set(controls: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        controls[name] = value


def _tokens(effort: str | None, budget: int | None, control: Parameter, *, off: bool) -> int:
    if off:
        return 0
    if budget is not None and budget > 0:
        return budget
    if effort is not None and effort in BUDGETS:
        return BUDGETS[effort]
    default = finite_number(control.default)
    return int(default) if default is not None and default > 0 else BUDGETS["medium"]


def _effort(budget: int | None, control: Parameter) -> str:
    """The effort for a caller who gave none: by its budget, else the model's own, unless that is `none`."""
    if budget is not None and budget > 0:
        return effort_of(budget)
    default = words_of(control.default)
    return "medium" if default is None or default == "none" else default


def _nearest(control: Parameter, effort: str, *, only_none: bool = False) -> Any:
    """The model's word for an effort, or None. `only_none`: rather nothing than some other effort."""
    choices = control.schema.get("enum")
    if choices is None:
        return effort if control.schema.get("type", "string") == "string" and effort in RANKS else None
    known = {words_of(choice): choice for choice in choices}
    if effort in known:
        return known[effort]
    if only_none or effort not in RANKS:
        return None
    ranked = [(rank, known[word]) for word, rank in RANKS.items() if word in known]
    thinking = [pair for pair in ranked if pair[0] > 0]
    below = [choice for rank, choice in thinking if rank < RANKS[effort]]
    return below[-1] if below else next((choice for _, choice in thinking or ranked), None)


def _budget(control: Parameter, tokens: int) -> Any:
    choices = control.schema.get("enum")
    if choices is not None:
        sizes = sorted((size, choice) for choice in choices if (size := finite_number(choice)) is not None)
        below = [choice for size, choice in sizes if size <= tokens]
        return below[-1] if below else next((choice for _, choice in sizes), None)
    low, high = control.schema.get("minimum", 0), control.schema.get("maximum", MAX_INTEGER)
    clamped = int(min(max(tokens, low), high))
    return str(clamped) if control.schema.get("type") == "string" else clamped


def _switch(control: Parameter, *, on: bool) -> Any:
    choices = control.schema.get("enum")
    if choices is None:
        return on
    words = ON_WORDS if on else OFF_WORDS
    return next((choice for choice in choices if words_of(choice) in words), None)
