"""A request of chat completions, from the caller's bytes to a `Prompt`."""

from __future__ import annotations

from typing import Any

from service.contract import models
from service.contract.members import given
from service.dialects.chat.history import turns_of
from service.dialects.chat.options import Options
from service.dialects.chat.tools import Toolbox, toolbox_of
from service.prompt import OutputFormat, Prompt, Sampling, Thinking

CUSTOM = ("seed", "verbosity", "web_search_options")
"""Documented members that some models declare as parameters; for the others they have no effect."""
IGNORED = (
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "audio",
    "prediction",
    "metadata",
    "store",
    "service_tier",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
)
"""Documented members that no model of Poe takes. Some say who is asking: they never leave this service."""
SOUND = "audio"
"""An object in OpenAI's dialect, which is ignored; a plain boolean is a parameter that some video models declare."""
SPECIAL = frozenset({*CUSTOM, *IGNORED})
NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "metadata": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Values that ask for what happens anyway, so that leaving them out is nothing to tell."""
LEFT_TO_THE_MODEL = -1
"""A thinking budget that is none, as Gemini's programs send it."""
SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
UNTOUCHED = Sampling()
TOOLS = frozenset({"tools", "functions"})
NO_TOOLS = Toolbox()
THINKING = frozenset({"reasoning_effort", "thinking_budget", "enable_thinking", "reasoning", "thinking"})
MEDIA = frozenset({"image", "audio", "video"})


def decode(request: models.ChatCompletionRequest) -> tuple[Prompt, Options]:
    """What is asked, and how the answer is to be written. Raises `Refusal` for what the contract cannot express."""
    named = request.model_fields_set  # nearly all members are absent from nearly all requests
    toolbox = NO_TOOLS if TOOLS.isdisjoint(named) else toolbox_of(request)
    parts = not MEDIA.isdisjoint(given(request.modalities) or ())
    stream_options = given(request.stream_options)
    reasoning = given(request.reasoning)
    special = named & SPECIAL
    prompt = Prompt(
        model=request.model,
        turns=turns_of(request.messages),
        stream=bool(given(request.stream)),
        fallbacks=tuple([name for name in dict.fromkeys(given(request.models) or ()) if name != request.model]),
        tools=toolbox.tools,
        tool_choice=toolbox.choice,
        forced_tool=toolbox.forced,
        parallel_tool_calls=given(request.parallel_tool_calls) if toolbox.tools else None,
        sampling=UNTOUCHED if SAMPLING.isdisjoint(named) else _sampling(request),
        max_tokens=given(request.max_completion_tokens) or given(request.max_tokens),
        stop=_stop(given(request.stop)),
        thinking=None if THINKING.isdisjoint(named) else _thinking(request),
        output_format=_output_format(given(request.response_format)),
        media_as_parts=parts,
        parameters=_parameters(request, special),
    )
    return prompt, Options(
        include_usage=bool(stream_options is not None and given(stream_options.include_usage)),
        media_as_parts=parts,
        custom_tools=toolbox.custom,
        legacy_functions=toolbox.legacy,
        hide_reasoning=bool(reasoning is not None and given(reasoning.exclude)),
        ignored=_ignored(request, special) if special else (),
    )


def _sampling(request: models.ChatCompletionRequest) -> Sampling:
    return Sampling(
        temperature=given(request.temperature),
        top_p=given(request.top_p),
        logprobs=given(request.logprobs) or None,
        top_logprobs=given(request.top_logprobs) or None,
    )


def _stop(stop: Any) -> tuple[str, ...]:
    texts = [stop] if isinstance(stop, str) else stop or []
    return tuple([text for text in texts if text])


def _thinking(request: models.ChatCompletionRequest) -> Thinking | None:
    """The one wish behind five ways of uttering it; the plain members win over the objects."""
    reasoning, options = given(request.reasoning), given(request.thinking)
    effort = given(request.reasoning_effort) or None
    budget = given(request.thinking_budget)
    enabled = given(request.enable_thinking)
    if reasoning is not None:
        effort = effort or given(reasoning.effort) or None
        budget = budget if budget is not None else given(reasoning.max_tokens)
        enabled = enabled if enabled is not None else given(reasoning.enabled)
    if options is not None:
        budget = budget if budget is not None else given(options.budget_tokens)
        kind = given(options.type)
        enabled = enabled if enabled is not None or kind is None else kind != "disabled"
    if budget == LEFT_TO_THE_MODEL:
        budget = None
    if effort is None and budget is None and enabled is None:
        return None
    return Thinking(effort=effort, budget_tokens=budget, enabled=enabled)


def _output_format(wanted: Any) -> OutputFormat | None:
    match wanted:
        case models.JsonObjectFormat():
            return OutputFormat("json_object")
        case models.JsonSchemaFormat():
            definition = wanted.json_schema
            schema = given(definition.schema_) or {}
            words = given(definition.description)
            if words:
                schema = {"description": words, **schema}
            return OutputFormat("json_schema", name=definition.name, schema=schema)
    return None


def _parameters(request: models.ChatCompletionRequest, special: set[str]) -> dict[str, Any]:
    parameters = dict(request.model_extra or {})
    if special:
        parameters.update({name: getattr(request, name) for name in CUSTOM if name in special and _asks(request, name)})
        if isinstance(request.audio, bool):
            parameters[SOUND] = request.audio
    return parameters


def _ignored(request: models.ChatCompletionRequest, special: set[str]) -> tuple[str, ...]:
    names = [name for name in IGNORED if name in special and _asks(request, name)]
    return tuple([name for name in names if name != SOUND or not isinstance(request.audio, bool)])


def _asks(request: models.ChatCompletionRequest, name: str) -> bool:
    """Whether a member asks for anything that would not happen without it."""
    value = given(getattr(request, name))
    return value is not None and value not in NO_EFFECT.get(name, ())
