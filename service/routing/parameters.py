"""Which extra fields go with a request: thinking options and custom parameters, as the model declares them.

| The caller sends | The model gets |
|---|---|
| `reasoning_effort`, `reasoning`, `thinking`, `thinking_budget`, `enable_thinking` | its own controls (`thinking`) |
| a parameter that it declares | the value, checked and coerced (`schema`) |
| a thinking control of some other family | its own controls |
| `web_search_options` | `web_search: true`, or its other name for it |
| any of these after tool results, where the model wants its thoughts back | its controls, switched off |
| anything else | nothing; the name is told in `Lifted.dropped` |

A model that the catalogue does not know gets everything on the bot wire, within bounds, since Poe's bots take any
parameter; on the chat wire, which refuses unknown fields, `reasoning_effort` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.errors import Refusal
from service.frozen import frozen
from service.prompt import Prompt, Thinking
from service.routing.model import Model, Parameter
from service.routing.refusals import NONE_REFUSED
from service.routing.route import WireName
from service.routing.schema import NO, YES, coerce, finite_number, small, words_of
from service.routing.thinking import BUDGET_CONTROLS, CONTROLS, EFFORT_CONTROLS, OFF_WORDS, ON_WORDS, lift_thinking

MAX_UNDECLARED = 32
MAX_NAME_LENGTH = 64
MAX_DROPPED = 32
"""Names told at most, each at most `MAX_NAME_LENGTH` long: they end in a header and in metrics."""

CALLERS_CONTROLS = frozenset({"reasoning_effort", "reasoning", "thinking", "thinking_budget", "enable_thinking"})
SEARCH_SWITCHES = ("web_search", "enable_web_search", "web_search_enabled")


@frozen
class Lifted:
    """`parameters`: top-level fields on the chat wire, bot parameters on the bot wire. `dropped`: names left out."""

    parameters: dict[str, Any]
    dropped: tuple[str, ...]


def lift(prompt: Prompt, model: Model | None, wire: WireName, refused: frozenset[str] = NONE_REFUSED) -> Lifted:
    """What to send for this prompt to this model; `refused` are names that it is known to refuse on this wire.

    Refusal 400 with `param` for a declared parameter whose value cannot fit, and for more than the bounds allow.
    """
    if prompt.thinking is None and not prompt.parameters:
        return Lifted({}, ())
    if model is None:
        lifted = _undeclared(prompt, wire)
    else:
        if wire == "chat":
            refused |= model.refuses
        declared = {name: parameter for name, parameter in model.parameters.items() if name not in refused}
        lifted = _declared(prompt, declared, thoughts_missing=model.thoughts_required and _continues(prompt))
    if refused & lifted.parameters.keys():
        kept = {name: value for name, value in lifted.parameters.items() if name not in refused}
        lifted = Lifted(kept, (*lifted.dropped, *sorted(refused & lifted.parameters.keys())))
    return Lifted(lifted.parameters, tuple([name[:MAX_NAME_LENGTH] for name in lifted.dropped[:MAX_DROPPED]]))


def _declared(prompt: Prompt, declared: Mapping[str, Parameter], *, thoughts_missing: bool) -> Lifted:
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    thinking, said = prompt.thinking, _words(prompt.thinking)
    for name, value in prompt.parameters.items():
        if value is None:
            continue
        option = _thinking_option(name, value, declared)
        if option is not None:
            thinking, said = _merged(thinking, option), [*said, name]
        elif name in declared:
            kept[name] = coerce(declared[name], value)
        elif name == "web_search_options" and (switch := _search_switch(declared)) is not None:
            kept.setdefault(switch, True)
        else:
            dropped.append(name)
    if thinking is not None:
        if thoughts_missing:
            thinking, dropped = Thinking(enabled=False), [*dropped, *said]
        controls = lift_thinking(thinking, declared)
        kept = {**controls, **kept}
        dropped += [] if controls else said
    return Lifted(kept, tuple(dict.fromkeys(dropped)))


def _continues(prompt: Prompt) -> bool:
    """Whether the model is to go on after results of the tools that it called."""
    return bool(prompt.turns) and prompt.turns[-1].role == "tool"


def _search_switch(declared: Mapping[str, Parameter]) -> str | None:
    return next((name for name in SEARCH_SWITCHES if name in declared), None)


def _undeclared(prompt: Prompt, wire: WireName) -> Lifted:
    thinking = prompt.thinking or Thinking()
    plain = {
        "reasoning_effort": thinking.effort,
        "thinking_budget": thinking.budget_tokens,
        "enable_thinking": thinking.enabled if thinking.effort is None and thinking.budget_tokens is None else None,
    }
    given = {name: value for name, value in {**plain, **prompt.parameters}.items() if value is not None}
    if wire == "chat":
        effort = given.pop("reasoning_effort", None)
        return Lifted({} if effort is None else {"reasoning_effort": effort}, tuple(given))
    if "web_search_options" in given:
        del given["web_search_options"]
        given.setdefault("web_search", True)
    return Lifted(_within_bounds(given), ())


def _within_bounds(given: dict[str, Any]) -> dict[str, Any]:
    if len(given) > MAX_UNDECLARED:
        told = list(given)[MAX_UNDECLARED][:MAX_NAME_LENGTH]
        raise Refusal(400, f"More than {MAX_UNDECLARED} parameters that no model declares.", param=told)
    for name, value in given.items():
        if len(name) > MAX_NAME_LENGTH:
            told = name[:MAX_NAME_LENGTH]
            raise Refusal(400, f"The parameter name `{told}…` is longer than {MAX_NAME_LENGTH} characters.", param=told)
        small(name, value)
    small(next(iter(given), ""), given)
    return given


def _thinking_option(name: str, value: Any, declared: Mapping[str, Parameter]) -> Thinking | None:
    """What a member says about thinking, or None if it does not, or if the model itself declares such a parameter.

    The names that every client uses are lifted in any case, and so clamped rather than refused.
    """
    callers = name in CALLERS_CONTROLS and (isinstance(value, dict) or name in CONTROLS)
    others = name in CONTROLS | CALLERS_CONTROLS and name not in declared
    return _read_option(name, value) if callers or others else None


def _read_option(name: str, value: Any) -> Thinking | None:
    if isinstance(value, dict):
        return _read_object(value) if name in ("reasoning", "thinking") else None
    if name in BUDGET_CONTROLS:
        tokens = finite_number(value)
        return None if tokens is None else Thinking(budget_tokens=int(tokens))
    word = words_of(value)
    if word is None:
        return None
    if word in YES or word in ON_WORDS:
        return Thinking(enabled=True)
    if word in NO or word in OFF_WORDS:
        return Thinking(enabled=False)
    return Thinking(effort=word) if name in EFFORT_CONTROLS or name in ("reasoning", "thinking") else None


def _read_object(value: Mapping[str, Any]) -> Thinking | None:
    """OpenAI's and OpenRouter's `reasoning`, Anthropic's `thinking`."""
    effort = value.get("effort")
    tokens = finite_number(value.get("budget_tokens", value.get("max_tokens")))
    enabled = value.get("enabled")
    if not isinstance(enabled, bool):
        enabled = {"enabled": True, "adaptive": True, "disabled": False}.get(str(value.get("type")))
    thinking = Thinking(
        effort.strip().lower() if isinstance(effort, str) else None, None if tokens is None else int(tokens), enabled
    )
    return None if thinking == Thinking() else thinking


def _merged(first: Thinking | None, second: Thinking) -> Thinking:
    """Both, the first one's words before the second one's."""
    if first is None:
        return second
    return replace(
        second,
        **{
            name: value
            for name in ("effort", "budget_tokens", "enabled")
            if (value := getattr(first, name)) is not None
        },
    )


def _words(thinking: Thinking | None) -> list[str]:
    """The plainest names for what was asked, for want of the caller's own."""
    if thinking is None:
        return []
    said = {
        "reasoning_effort": thinking.effort,
        "thinking_budget": thinking.budget_tokens,
        "enable_thinking": thinking.enabled,
    }
    return [name for name, value in said.items() if value is not None]
