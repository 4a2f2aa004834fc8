"""A request of chat completions, from the caller's bytes to a `Prompt`."""

from __future__ import annotations

from typing import Any

from service.contract import models
from service.contract.members import given
from service.dialects.chat.history import turns_of
from service.dialects.chat.options import Options
from service.dialects.chat.tools import toolbox_of
from service.prompt import OutputFormat, Prompt, Sampling, Thinking
from service.stages.format import Checker

CUSTOM = (
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "verbosity",
    "web_search_options",
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
"""Documented members that Poe's chat ignores: they go where a model declares a parameter of that name, else nowhere."""
NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}
"""Values that ask for what happens anyway, so that leaving them out is nothing to tell."""
SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
UNTOUCHED = Sampling()
MEDIA = frozenset({"image", "audio", "video"})


def decode(request: models.ChatCompletionRequest) -> tuple[Prompt, Options]:
    """What is asked, and how the answer is to be written. Raises `Refusal` for what the contract cannot express."""
    toolbox = toolbox_of(request)
    parts = not MEDIA.isdisjoint(given(request.modalities) or ())
    stream_options = given(request.stream_options)
    reasoning = given(request.reasoning)
    prompt = Prompt(
        model=request.model,
        turns=turns_of(request.messages),
        stream=bool(given(request.stream)),
        fallbacks=tuple([name for name in given(request.models) or () if name != request.model]),
        tools=toolbox.tools,
        tool_choice=toolbox.choice,
        forced_tool=toolbox.forced,
        parallel_tool_calls=given(request.parallel_tool_calls) if toolbox.tools else None,
        sampling=_sampling(request),
        max_tokens=given(request.max_completion_tokens) or given(request.max_tokens),
        stop=_stop(given(request.stop)),
        thinking=_thinking(request),
        output_format=_output_format(given(request.response_format)),
        media_as_parts=parts,
        parameters=_parameters(request),
    )
    return prompt, Options(
        include_usage=bool(stream_options is not None and given(stream_options.include_usage)),
        media_as_parts=parts,
        custom_tools=toolbox.custom,
        legacy_functions=toolbox.legacy,
        hide_reasoning=bool(reasoning is not None and given(reasoning.exclude)),
    )


def _sampling(request: models.ChatCompletionRequest) -> Sampling:
    if SAMPLING.isdisjoint(request.model_fields_set):
        return UNTOUCHED
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
    effort = given(request.reasoning_effort)
    budget = given(request.thinking_budget)
    enabled = given(request.enable_thinking)
    if reasoning is not None:
        effort = effort or given(reasoning.effort)
        budget = budget if budget is not None else given(reasoning.max_tokens)
        enabled = enabled if enabled is not None else given(reasoning.enabled)
    if options is not None:
        budget = budget if budget is not None else given(options.budget_tokens)
        kind = given(options.type)
        enabled = enabled if enabled is not None or kind is None else kind != "disabled"
    if effort is None and budget is None and enabled is None:
        return None
    return Thinking(effort=effort, budget_tokens=budget, enabled=enabled)


def _output_format(wanted: Any) -> OutputFormat | None:
    match wanted:
        case models.JsonObjectFormat():
            return OutputFormat("json_object")
        case models.JsonSchemaFormat():
            definition = wanted.json_schema
            asked = OutputFormat("json_schema", name=definition.name, schema=given(definition.schema_) or {})
            Checker(asked)  # a schema that cannot be used is the caller's to know before anything is spent
            return asked
    return None


def _parameters(request: models.ChatCompletionRequest) -> dict[str, Any]:
    parameters = dict(request.model_extra or {})
    said = request.model_fields_set
    for name in [] if said.isdisjoint(CUSTOM) else [name for name in CUSTOM if name in said]:
        value = given(getattr(request, name))
        if value is not None and value not in NO_EFFECT.get(name, ()):
            parameters[name] = value
    return parameters
