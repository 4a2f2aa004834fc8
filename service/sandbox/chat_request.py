"""Reads a chat completions request as strictly as Poe has done since April 2026 (poe.md 4.2, 4.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from service.sandbox.ask import Ask, AskedCall, AskTurn, OfferedTool, Role
from service.sandbox.content import read_content
from service.sandbox.files import Files
from service.sandbox.models.model import SandboxModel
from service.sandbox.models.signature import SKIP, thought_signature
from service.sandbox.poe_errors import invalid

# What Poe documents, those that it documents as ignored among them. Anything else must be declared by the model.
_SUPPORTED = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stream",
        "stream_options",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "n",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
    }
)
_IGNORED = frozenset(
    {
        "store",
        "metadata",
        "response_format",
        "prediction",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "service_tier",
        "audio",
        "logit_bias",
        "user",
        "modalities",
    }
)
_STANDARD = _SUPPORTED | _IGNORED
_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX_STOPS = 4


def read_chat_request(body: Mapping[str, Any], model: SandboxModel, files: Files) -> Ask:
    """The question in a request for `model`; raises `Refused` (400) with what is wrong, in Poe's words where known."""
    _check_fields(body, model)
    tools = _tools(body.get("tools"), model)
    choice, forced = _tool_choice(body.get("tool_choice"), tools)
    if body.get("parallel_tool_calls") is not None and not tools:
        raise invalid("'parallel_tool_calls' is only allowed when 'tools' are specified.")
    turns = _turns(body.get("messages"), files)
    if model.signs_calls:
        _check_signatures(turns)
    schema, wants_json = _format(body.get("response_format"), model)
    return Ask(
        turns=turns,
        tools=tools,
        tool_choice=choice,
        forced_tool=forced,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        wants_json=wants_json,
        parameters=_parameters(body, model),
        stop=_stops(body.get("stop")),
        max_tokens=_max_tokens(body),
    )


def _check_fields(body: Mapping[str, Any], model: SandboxModel) -> None:
    declared = {parameter["name"] for parameter in model.parameters}
    for name in body:
        if name in model.refuses or name not in _STANDARD | declared:
            raise invalid(f"Unknown parameter: '{name}'.")
    if body.get("n") not in (None, 1):
        raise invalid("'n' must be 1.")
    _check_number(body, "temperature", 0, 2)
    _check_number(body, "top_p", 0, 1)
    for name in ("stream", "parallel_tool_calls", "logprobs"):
        if not isinstance(body.get(name, False), bool | None):
            raise invalid(f"Invalid '{name}': expected a boolean.")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, Mapping):
        raise invalid("Invalid 'stream_options': expected an object.")


def _check_number(body: Mapping[str, Any], name: str, low: float, high: float) -> None:
    value = body.get(name)
    if value is not None and not (_is_number(value) and low <= value <= high):
        raise invalid(f"Invalid '{name}': expected a number between {low} and {high}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    limits = []
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise invalid(f"Invalid '{name}': expected a positive integer.")
        limits.append(value)
    return min(limits, default=None)


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops) or len(stops) > _MAX_STOPS:
        raise invalid(f"Invalid 'stop': expected a string or up to {_MAX_STOPS} strings.")
    if any(not stop.strip() for stop in stops):
        raise invalid("Invalid 'stop': stop sequences must contain non-whitespace.")
    return tuple(stops)


def _parameters(body: Mapping[str, Any], model: SandboxModel) -> dict[str, Any]:
    """The model's own parameters; `reasoning_effort` is ignored by models that do not declare it (poe.md 12.6)."""
    found: dict[str, Any] = {}
    for parameter in model.parameters:
        name = parameter["name"]
        if body.get(name) is not None:
            _check_parameter(name, body[name], parameter["schema"], model)
            found[name] = body[name]
    return found


def _check_parameter(name: str, value: Any, schema: Mapping[str, Any], model: SandboxModel) -> None:
    choices = schema.get("enum")
    if choices is not None and value not in choices:
        # The sentence of a recorded refusal (poe.md 4.6).
        told = ", ".join(f"'{choice}'" for choice in choices)
        raise invalid(
            f"Unsupported value: '{value}' is not supported with the '{model.id}' model. Supported values are: {told}."
        )
    kind = schema.get("type")
    if kind == "boolean" and not isinstance(value, bool):
        raise invalid(f"Invalid '{name}': expected a boolean.")
    if kind == "number" and not (_is_number(value) and schema["minimum"] <= value <= schema["maximum"]):
        raise invalid(f"Invalid '{name}': expected a number between {schema['minimum']} and {schema['maximum']}.")


def _tools(value: Any, model: SandboxModel) -> tuple[OfferedTool, ...]:
    if value is None or value == []:
        return ()
    if not isinstance(value, list):
        raise invalid("Invalid 'tools': expected an array.")
    if not model.takes_tools:
        raise invalid(
            f"Model {model.id} does not support tool calling. "
            "Use a tool-capable model or remove tools from the request.",
            param="model",
            code="unsupported_feature_for_model",
        )
    return tuple(_tool(one, number) for number, one in enumerate(value))


def _tool(value: Any, number: int) -> OfferedTool:
    function = value.get("function") if isinstance(value, Mapping) and value.get("type") == "function" else None
    if not isinstance(function, Mapping):
        raise invalid(f"Invalid 'tools[{number}]': expected a function.")
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise invalid(f"Invalid 'tools[{number}].function.name'.")
    if not isinstance(parameters, Mapping | None):
        raise invalid(f"Invalid 'tools[{number}].function.parameters': expected an object.")
    return OfferedTool(name, parameters or {})


def _tool_choice(value: Any, tools: tuple[OfferedTool, ...]) -> tuple[Literal["auto", "none", "required"], str | None]:
    if value is None:
        return "auto", None
    if not tools:
        # OpenAI's rule; that Poe has it as well is a guess (poe.md 4.2 tells nothing).
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.")
    if value in ("auto", "none", "required"):
        return value, None
    function = value.get("function") if isinstance(value, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if name not in {tool.name for tool in tools}:
        raise invalid("Invalid 'tool_choice': no such tool.")
    return "auto", name


def _format(value: Any, model: SandboxModel) -> tuple[Mapping[str, Any] | None, bool]:
    """Documented as ignored on chat completions (poe.md 4.2); the recorded Grok followed it all the same."""
    if not model.honours_format or not isinstance(value, Mapping):
        return None, False
    described = value.get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    return (schema if isinstance(schema, Mapping) else None), value.get("type") == "json_object"


def _turns(value: Any, files: Files) -> tuple[AskTurn, ...]:
    if not isinstance(value, list) or not value:
        raise invalid("Invalid 'messages': expected a non-empty array.")
    turns: list[AskTurn] = []
    known: set[str] = set()
    for number, message in enumerate(value):
        if not isinstance(message, Mapping):
            raise invalid(f"Invalid 'messages[{number}]': expected an object.")
        turn = _turn(message, number, files)
        # That Poe checks this as OpenAI does is a guess.
        if turn.role == "tool" and turn.call_id not in known:
            raise invalid("Messages with role 'tool' must be a response to a preceding message with 'tool_calls'.")
        known.update(call.id for call in turn.calls)
        turns.append(turn)
    return tuple(turns)


def _turn(message: Mapping[str, Any], number: int, files: Files) -> AskTurn:
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise invalid("Invalid 'role': Input should be 'system', 'user' or 'bot'")
    calls = _calls(message.get("tool_calls"), number) if role == "assistant" else ()
    content = message.get("content")
    if content is None and not calls and role != "assistant":
        raise invalid(f"Invalid 'messages[{number}].content': expected a string or an array.")
    text, received = read_content(content, f"messages[{number}].content", files)
    name = message.get("name")
    return AskTurn(
        role,
        text,
        received,
        calls,
        call_id=str(message.get("tool_call_id", "")),
        name=name if isinstance(name, str) and role == "tool" else "",
    )


def _calls(value: Any, number: int) -> tuple[AskedCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid(f"Invalid 'messages[{number}].tool_calls': expected an array.")
    return tuple(_asked_call(call, number) for call in value)


def _asked_call(call: Any, number: int) -> AskedCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(call.get("id"), str):
        raise invalid(f"Invalid 'messages[{number}].tool_calls'.")
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise invalid(f"Invalid 'messages[{number}].tool_calls': expected a name and arguments.")
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    return AskedCall(call["id"], name, arguments, signature if isinstance(signature, str) else None)


def _check_signatures(turns: tuple[AskTurn, ...]) -> None:
    """Gemini refuses a turn whose first call comes back without its signature (poe.md 4.4, 8.7); Google's sentence."""
    for turn in turns:
        for call in turn.calls[:1]:
            if call.signature not in (thought_signature(call.id), SKIP):
                raise invalid(
                    f"Function call `{call.name}` is missing a thought_signature. "
                    "This is required for tools to work correctly."
                )
