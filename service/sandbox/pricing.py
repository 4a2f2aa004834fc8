"""What an answer costs, from the model's price and the true token counts."""

from __future__ import annotations

import math

from service.sandbox.accounts import POINT_USD, Cost
from service.sandbox.answer import CallTool
from service.sandbox.ask import Ask
from service.sandbox.models.model import SandboxModel
from service.sandbox.performance import Performance
from service.sandbox.text import compact_json
from service.sandbox.tokens import count_tokens

_UNPRICED_POINTS = 50
"""What a model without a public price costs: half of Poe's catalogue tells none."""


def cost_of(ask: Ask, performance: Performance, model: SandboxModel) -> Cost:
    """The cost of what was asked and of what has been said so far; counts what `usage` on chat leaves out, too."""
    if model.pricing is None:
        return Cost(_UNPRICED_POINTS * POINT_USD, (("Message", _UNPRICED_POINTS, ""),))
    if model.pricing["request"] is not None:
        usd = float(model.pricing["request"])
        return Cost(usd, (("Message", _points(usd), ""),))
    asked = sum(count_tokens(turn.text) for turn in ask.turns)
    asked += sum(count_tokens(compact_json(dict(tool.parameters))) for tool in ask.tools)
    told = count_tokens(performance.said) + count_tokens(performance.thought) + _call_tokens(performance)
    usd_in = asked * float(model.pricing["prompt"] or 0)
    usd_out = told * float(model.pricing["completion"] or 0)
    lines = (("Input", _points(usd_in), f"{asked} tokens"), ("Output", _points(usd_out), f"{told} tokens"))
    return Cost(usd_in + usd_out, lines)


def _call_tokens(performance: Performance) -> int:
    return sum(count_tokens(call.arguments) + 3 for call in performance.answer.acts if isinstance(call, CallTool))


def _points(usd: float) -> int:
    return math.ceil(round(usd / POINT_USD, 6))
