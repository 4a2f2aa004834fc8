"""The body of a request to Poe's chat completions, from a whitelist: Poe refuses members that it does not know."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from service.errors import Failure, Kind
from service.prompt import Call, MediaPart, Part, Prompt, TextPart, Tool, Turn
from service.wires.call import UpstreamCall
from service.wires.call_ids import original
from service.wires.opaque import Opaque, returned
from service.writing import as_json

SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")
"""Members that have the same name here as in a prompt."""
EMULATED = frozenset({"stream_options", "stop", "response_format", "max_tokens"})
"""Members that a model may refuse and the caller not miss: ours, done by the stages, or sent under another name."""


def encode(call: UpstreamCall, *, stream: bool, opaque: Opaque, refused: frozenset[str]) -> bytes:
    """The JSON body. `refused` names members that this model's endpoint is known to answer with 400."""
    prompt = call.prompt
    if prompt.tools and "tools" in refused:
        raise Failure(Kind.UNSENDABLE, "This model's REST endpoint takes no tools.", param="tools")
    model = call.route.model
    signed = model is not None and model.signatures
    body: dict[str, Any] = {"model": call.route.name, "messages": messages(prompt, opaque, signed=signed)}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    _add_limits(body, prompt, refused)
    _add_tools(body, prompt)
    if prompt.output_format is not None:
        body["response_format"] = _response_format(prompt)
    body.update(call.parameters)
    for name in refused:
        if body.pop(name, None) is not None and name not in EMULATED:
            call.drop(name)
    return as_json(body)


def _add_limits(body: dict[str, Any], prompt: Prompt, refused: frozenset[str]) -> None:
    sampling = prompt.sampling
    if prompt.max_tokens is not None:
        body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = prompt.max_tokens
    stops = [text for text in prompt.stop if text.strip()]  # Poe refuses blanks alone; stages.shaping looks for those
    if stops:
        body["stop"] = stops
    for name in SAMPLING:
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value


def _add_tools(body: dict[str, Any], prompt: Prompt) -> None:
    if not prompt.tools:
        return  # a tool_choice without tools is refused upstream and means nothing
    body["tools"] = [_tool(tool) for tool in prompt.tools]
    if prompt.forced_tool is not None:
        body["tool_choice"] = {"type": "function", "function": {"name": prompt.forced_tool}}
    elif prompt.tool_choice is not None:
        body["tool_choice"] = prompt.tool_choice
    if prompt.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = prompt.parallel_tool_calls


def _tool(tool: Tool) -> dict[str, Any]:
    members = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": {name: value for name, value in members.items() if value is not None}}


def _response_format(prompt: Prompt) -> dict[str, Any]:
    wanted = prompt.output_format
    assert wanted is not None
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": wanted.name or "answer", "schema": wanted.schema or {}}}


def messages(prompt: Prompt, opaque: Opaque, *, signed: bool) -> list[dict[str, Any]]:
    """The turns as messages. Media of a tool's result follow the results of that round in a user message.

    `signed`: the model refuses calls without a signature.
    """
    out: list[dict[str, Any]] = []
    held: list[Part] = []
    for turn in prompt.turns:
        if held and turn.role != "tool":
            out.append({"role": "user", "content": _content(tuple(held))})
            held = []
        out.append(_message(turn, opaque, signed=signed))
        if turn.role == "tool":
            held += [part for part in turn.parts if isinstance(part, MediaPart)]
    if held:
        out.append({"role": "user", "content": _content(tuple(held))})
    return out


def _message(turn: Turn, opaque: Opaque, *, signed: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role}
    if turn.name:
        message["name"] = turn.name
    if turn.role == "tool":
        message["tool_call_id"] = original(turn.call_id)
        message["content"] = turn.text
        return message
    message["content"] = _content(turn.parts)
    if turn.calls:
        extras = returned(turn.calls, opaque, signed=signed)
        message["tool_calls"] = [_call(call, extra) for call, extra in zip(turn.calls, extras, strict=True)]
    return message


def _call(call: Call, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    written: dict[str, Any] = {
        "id": original(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if extra:
        written["extra_content"] = extra
    return written


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    if any(isinstance(part, MediaPart) for part in parts):
        return [_part(part) for part in parts]
    # Several texts stay several parts: joining them would invent or lose the boundary that the caller drew.
    return [_part(part) for part in parts] if parts else ""


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if part.kind == "image":
        image: dict[str, Any] = {"url": part.url or data_url(part)}
        if part.detail is not None:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": _file_data(part)}}


def _file_data(part: MediaPart) -> str:
    if part.url is None:
        return data_url(part)
    if not part.url.startswith("data:"):
        # This endpoint takes files as data only, and fetching a caller's URL from here would open our network to it.
        raise Failure(Kind.UNSENDABLE, "A file given by its URL cannot be sent to this model's REST endpoint.")
    return part.url


def data_url(part: MediaPart) -> str:
    """The part's bytes as a data URL."""
    encoded = base64.b64encode(part.data or b"").decode("ascii")
    return f"data:{part.media_type or 'application/octet-stream'};base64,{encoded}"
