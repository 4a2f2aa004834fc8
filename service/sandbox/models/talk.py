"""Models that talk: echo, and the general ones that call tools, think, and else echo."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Any

from service.sandbox.answer import Act, Answer, CallTool, Pace, Say, Think, Wait, say
from service.sandbox.ask import Ask, AskTurn, OfferedTool
from service.sandbox.models.choice import choose_tools
from service.sandbox.models.model import SandboxModel
from service.sandbox.models.orders import told_to_answer_json
from service.sandbox.models.signature import thought_signature
from service.sandbox.models.structured import structured
from service.sandbox.sampling import sample
from service.sandbox.text import compact_json

NOTHING = "(an empty message)"
"""What echo says to nothing at all, since a model never answers with nothing."""


def echo(ask: Ask, model: SandboxModel) -> Answer:
    """The last user message, word for word."""
    return say(ask.text if ask.text.strip() else NOTHING)


def general(ask: Ask, model: SandboxModel) -> Answer:
    """Calls a tool where one is offered and fits; runs tool results through; else echoes. Thinks when told to.

    Answers JSON where the system prompt says so, since that is the only way to ask for it here (poe.md 8.22).
    """
    acts: list[Act] = []
    if model.thinking(ask.parameters):
        acts.append(Think(_thoughts(ask)))
    chosen = choose_tools(ask) if model.takes_tools and not ask.results else ()
    if not chosen:
        return Answer((*acts, *_in_words(ask, model).acts))
    if model.call_ids == "kimi":
        acts.append(Say(f"I'll use the {chosen[0].name} tool."))
    acts.extend(_call(tool, index, ask, model) for index, tool in enumerate(chosen))
    return Answer(tuple(acts), finish="tool_calls")


def _in_words(ask: Ask, model: SandboxModel) -> Answer:
    if told_to_answer_json(ask):
        return structured(ask, model)
    return say(_read_results(ask)) if ask.results else echo(ask, model)


def reasoner(ask: Ask, model: SandboxModel) -> Answer:
    """Thinks first, always, then echoes."""
    return Answer((Think(_thoughts(ask)), *echo(ask, model).acts))


def paced(ask: Ask, model: SandboxModel) -> Answer:
    """Echoes slowly: `speed: N` in the prompt sets words a second (5 without), `delay: S` seconds before the first."""
    speed = min(1_000.0, max(0.1, _setting(ask.text, "speed", 5.0)))
    delay = min(600.0, max(0.0, _setting(ask.text, "delay", 0.0)))
    return Answer((Wait(delay), Pace(1 / speed), *echo(ask, model).acts))


def _thoughts(ask: Ask) -> str:
    told = ", ".join(f"{name} is {compact_json(value)}" for name, value in sorted(ask.parameters.items()))
    opening = f"The user wrote {len(ask.text.split())} words."
    return f"{opening}\n{f'My parameters: {told}.' if told else 'No parameter was set.'}\n\nI will answer now."


def _read_results(ask: Ask) -> str:
    return "\n".join(f"{result.name or _called(ask, result)} says: {result.text}" for result in ask.results)


def _called(ask: Ask, result: AskTurn) -> str:
    calls = (call for turn in reversed(ask.turns) for call in turn.calls if call.id == result.call_id)
    return next((call.name for call in calls), "The tool")


def _call(tool: OfferedTool, index: int, ask: Ask, model: SandboxModel) -> CallTool:
    call_id = _call_id(tool.name, index, model)
    arguments = sample(tool.parameters, ask.text)
    signature = thought_signature(call_id) if model.signs_calls and index == 0 else None
    return CallTool(call_id, tool.name, compact_json(arguments if isinstance(arguments, dict) else {}), signature)


def _call_id(name: str, index: int, model: SandboxModel) -> str:
    """An id in the style of the recordings (poe.md 4.4); Kimi's repeats in every turn."""
    match model.call_ids:
        case "openai":
            return f"call_{_random(24)}"
        case "anthropic":
            return f"toolu_{_random(24)}"
        case "gemini":
            return f"tool_{name}_{_random(20)}"
        case "kimi":
            return f"{name}:{index}"
        case _:
            return f"call_{''.join(secrets.choice(string.digits) for _ in range(8))}"


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _setting(text: str, name: str, default: float) -> float:
    _, found, rest = text.lower().partition(f"{name}:")
    try:
        return float(rest.split()[0].strip(".,;")) if found else default
    except (ValueError, IndexError):
        return default


def by_parameter(name: str, *awake: Any) -> Any:
    """A `thinking` rule: on when that parameter has one of the values `awake`, or is a number above zero."""

    def rule(parameters: Mapping[str, Any]) -> bool:
        value = parameters.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value > 0
        return value in awake

    return rule
