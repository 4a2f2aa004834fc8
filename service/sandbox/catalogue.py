"""The sandbox's models, one row each. The names are made up; the habits are those of poe.md 4, 8 and 12."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.sandbox.models import media, special, structured, talk
from service.sandbox.models.model import SandboxModel


def _switch(name: str, *, default: bool) -> dict[str, Any]:
    return {"name": name, "schema": {"type": "boolean"}, "default_value": default, "description": f"Turns {name} on."}


def _choice(name: str, *values: str, default: str) -> dict[str, Any]:
    return {"name": name, "schema": {"enum": list(values)}, "default_value": default}


def _range(name: str, low: int, high: int, *, default: int) -> dict[str, Any]:
    return {
        "name": name,
        "schema": {"type": "number", "minimum": low, "maximum": high},
        "default_value": default,
        "description": "The maximum number of tokens to spend on thinking.",
    }


def _per_token(prompt: str, completion: str, *, cached: str | None = None) -> dict[str, str | None]:
    return {
        "prompt": prompt,
        "completion": completion,
        "image": None,
        "request": None,
        "input_cache_read": cached,
        "input_cache_write": None,
    }


def _per_request(usd: str) -> dict[str, str | None]:
    return {
        "prompt": None,
        "completion": None,
        "image": None,
        "request": usd,
        "input_cache_read": None,
        "input_cache_write": None,
    }


_CHEAP = _per_token("0.00000030", "0.0000012")
_SEES = ("text", "image")

MODELS: tuple[SandboxModel, ...] = (
    SandboxModel(
        "Sandbox-Echo",
        talk.echo,
        description="Repeats the last user message, word for word. Takes no tools.",
        pricing=_CHEAP,
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Tools",
        talk.general,
        description="Calls the tools it is offered with arguments sampled from their schemas, else echoes.",
        features=("tools",),
        pricing=_CHEAP,
    ),
    SandboxModel(
        "Sandbox-JSON",
        structured.structured,
        description=(
            "Answers JSON that fits the schema it is given. The word clumsy in the prompt makes its first answer "
            "wrong, hopeless makes every answer wrong."
        ),
        pricing=_CHEAP,
        takes_tools=False,
        honours_format=True,
    ),
    SandboxModel(
        "Sandbox-Reasoner",
        talk.reasoner,
        description="Thinks before it echoes, always.",
        pricing=_CHEAP,
        reasoning={"budget": None, "required": True, "supports_reasoning_effort": False},
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Slow",
        talk.paced,
        description="Echoes slowly: `speed: 2` sets words a second (5 without), `delay: 3` seconds before the first.",
        pricing=_CHEAP,
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Vision",
        media.vision,
        description="Tells what files it was given: name, type and size.",
        input_modalities=("text", "image", "audio", "video", "file"),
        pricing=_CHEAP,
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Failing",
        special.failing,
        description="Fails as the prompt's first line says, for example `fail: status 429 retry-after 2`.",
        features=("tools",),
        pricing=_CHEAP,
    ),
    SandboxModel(
        "Sandbox-Image",
        media.image,
        description="Draws a small picture.",
        output_modalities=("image",),
        endpoints=(),
        parameters=(_choice("aspect_ratio", "16:9", "4:3", "1:1", "3:4", "9:16", default="1:1"),),
        pricing=_per_request("0.028"),
        context=(480, None),
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Speech",
        media.speech,
        description="Says it with a tone.",
        output_modalities=("audio",),
        endpoints=(),
        parameters=(_choice("voice", "Ada", "Basil", default="Ada"),),
        context=None,
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Video",
        media.video,
        description="Makes a film of no length.",
        input_modalities=_SEES,
        output_modalities=("video",),
        endpoints=("/v1/videos",),
        parameters=(_choice("duration", "4", "8", default="4"),),
        context=(480, None),
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Rewriter",
        special.rewriter,
        description="Replaces its first draft, or only adds to it when the prompt says extend.",
        endpoints=(),
        context=None,
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-Bot",
        special.made_by_somebody,
        description="A server bot that somebody made: in the list, but not on chat completions.",
        endpoints=(),
        context=None,
        takes_tools=False,
        on_chat=False,
        greets=True,
    ),
    SandboxModel(
        "Sandbox-GPT-5.2",
        talk.general,
        owner="OpenAI",
        description="Habits of OpenAI's models: reasoning_effort, token details in usage, no stream_options.",
        input_modalities=_SEES,
        features=("web_search", "tools"),
        parameters=(
            _switch("web_search", default=False),
            _choice("reasoning_effort", "none", "low", "medium", "high", "xhigh", default="none"),
            _choice("verbosity", "low", "medium", "high", default="medium"),
        ),
        pricing=_per_token("0.0000016", "0.000013", cached="0.00000016"),
        context=(400_000, 128_000),
        reasoning={"budget": None, "required": False, "supports_reasoning_effort": True},
        call_ids="openai",
        detailed_usage=True,
        thinking=talk.by_parameter("reasoning_effort", "low", "medium", "high", "xhigh"),
    ),
    SandboxModel(
        "Sandbox-Claude-4.6",
        talk.general,
        owner="Anthropic",
        description="Habits of newer Claude models: output_effort, and answers in the strict shape.",
        input_modalities=_SEES,
        features=("web_search", "tools"),
        parameters=(
            _switch("web_search", default=False),
            _choice("output_effort", "max", "high", "medium", "low", "none", default="medium"),
        ),
        pricing=_per_token("0.0000026", "0.000013", cached="0.00000026"),
        context=(983_040, 128_000),
        reasoning={"budget": None, "required": False, "supports_reasoning_effort": False},
        call_ids="anthropic",
        provider="sandbox-claude-4-6@20260205",
        thinking=talk.by_parameter("output_effort", "high", "max"),
    ),
    SandboxModel(
        "Sandbox-Haiku-4.5",
        talk.general,
        owner="Anthropic",
        description="Habits of older Claude models: thinking_budget.",
        input_modalities=_SEES,
        features=("web_search", "tools"),
        parameters=(_range("thinking_budget", 0, 63_999, default=0), _switch("web_search", default=False)),
        pricing=_per_token("0.00000085", "0.0000043", cached="0.000000085"),
        context=(192_000, 64_000),
        reasoning={
            "budget": {"max_tokens": 63_999, "min_tokens": 0},
            "required": False,
            "supports_reasoning_effort": False,
        },
        call_ids="anthropic",
        thinking=talk.by_parameter("thinking_budget"),
    ),
    SandboxModel(
        "Sandbox-Gemini-3.1",
        talk.general,
        owner="Google",
        description="Habits of Gemini: thinking_level, and thought signatures that it wants back.",
        input_modalities=("text", "image", "video", "audio"),
        features=("tools",),
        parameters=(_choice("thinking_level", "low", "high", default="low"), _switch("web_search", default=False)),
        pricing=_per_token("0.0000020", "0.000012", cached="0.00000020"),
        context=(1_048_576, 65_536),
        reasoning={"budget": None, "required": False, "supports_reasoning_effort": True},
        call_ids="gemini",
        signs_calls=True,
        thinking=talk.by_parameter("thinking_level", "high"),
    ),
    SandboxModel(
        "Sandbox-Kimi-K2.5",
        talk.general,
        owner="Novita AI",
        description="Habits of Kimi: enable_thinking, ids that repeat in every turn, text beside its calls.",
        features=("tools",),
        endpoints=(),
        parameters=(
            _switch("enable_thinking", default=False),
            _range("max_output_tokens", 1, 262_144, default=262_144),
        ),
        pricing=_per_token("0.00000060", "0.0000030", cached="0.00000010"),
        call_ids="kimi",
        json_text=True,
        thinking=talk.by_parameter("enable_thinking", True),
    ),
    SandboxModel(
        "Sandbox-Kimi-K2.5-FW",
        talk.general,
        owner="Fireworks AI",
        description="Says that it takes tools and refuses them.",
        features=("tools",),
        endpoints=(),
        pricing=_per_token("0.00000060", "0.0000030"),
        takes_tools=False,
    ),
    SandboxModel(
        "Sandbox-MiMo-V2",
        talk.general,
        owner="Empirio Labs AI",
        description="Habits of MiMo: deep_thinking.",
        endpoints=(),
        parameters=(_switch("deep_thinking", default=True),),
        takes_tools=False,
        thinking=talk.by_parameter("deep_thinking", True),
    ),
    SandboxModel(
        "Sandbox-Grok-4",
        talk.general,
        owner="XAI",
        description="Streams with tools stop silently on chat completions; whole answers work.",
        input_modalities=_SEES,
        features=("tools",),
        pricing=_per_token("0.0000030", "0.000015", cached="0.00000075"),
        context=(256_000, None),
        streams_tools=False,
    ),
)

BY_ID: Mapping[str, SandboxModel] = {model.id: model for model in MODELS}


def find_model(name: str) -> SandboxModel | None:
    """The model of that name, whatever its case, as on Poe (poe.md 4.2)."""
    return BY_ID.get(name.lower())


def listing() -> dict[str, Any]:
    """The body of `/v1/models`."""
    return {"object": "list", "data": [model.listing() for model in MODELS]}
