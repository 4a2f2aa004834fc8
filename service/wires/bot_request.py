"""The body of a bot query: a prompt in the words of Poe's protocol, as the server half of fastapi_poe reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.prompt import Call, MediaPart, Prompt, Tool, Turn
from service.wires.call import UpstreamCall
from service.wires.call_ids import original
from service.wires.opaque import Opaque, returned
from service.writing import as_json

PROTOCOL_VERSION = "1.2"
ROLES: Mapping[str, str] = {"system": "system", "user": "user", "assistant": "bot", "tool": "tool"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file where Poe's bots can fetch it."""

    url: str
    content_type: str
    name: str


Attachments = Mapping[int, Attachment]
"""What became of each media part of the prompt, by the identity of the part."""


def media_parts(prompt: Prompt) -> list[MediaPart]:
    """Everything in the prompt that must be uploaded first."""
    return [part for turn in prompt.turns for part in turn.parts if isinstance(part, MediaPart)]


def encode(call: UpstreamCall, attachments: Attachments, opaque: Opaque) -> bytes:
    """The JSON body of the query. What the protocol cannot say is emulated, or told through `call.notice`."""
    prompt, refused = call.prompt, call.refused
    tools, orders = _tools(prompt)
    model = call.route.model
    query = _messages(prompt.turns, attachments, opaque, signed=model is not None and model.signatures)
    if orders:
        _instruct(query, " ".join(orders))
    if call.parameters:
        _last_of_user(query)["parameters"] = call.parameters
    _tell(call, orders)
    return as_json(
        {
            "version": PROTOCOL_VERSION,
            "type": "query",
            "query": query,
            "user_id": "",
            "conversation_id": "",
            "message_id": "",
            "metadata": "",
            "api_key": "<missing>",
            "access_key": "<missing>",
            "temperature": None if "temperature" in refused else prompt.sampling.temperature,
            "skip_system_prompt": False,
            "logit_bias": {},
            "stop_sequences": [] if "stop" in refused or "stop_sequences" in refused else list(prompt.stop),
            "language_code": "en",
            "adopt_current_bot_name": None,
            "bot_query_id": "",
            "users": [],
            "tools": [_tool(tool) for tool in tools] or None,
            "tool_calls": None,
            "tool_results": None,
            "query_creation_time": None,
            "extra_params": None,
        }
    )


def _tell(call: UpstreamCall, orders: Sequence[str]) -> None:
    sampling = call.prompt.sampling
    lost = {"top_p": sampling.top_p, "logprobs": sampling.logprobs or None, "top_logprobs": sampling.top_logprobs}
    for name, value in lost.items():
        if value is not None:
            call.notice(f"{name}: bots know no such option")
    if orders:
        call.notice("tool_choice, parallel_tool_calls: asked of the bot in words")


def _tools(prompt: Prompt) -> tuple[Sequence[Tool], list[str]]:
    """The tools to offer, and what to ask in words since the protocol has no field for it."""
    tools: Sequence[Tool] = prompt.tools
    if not tools or prompt.tool_choice == "none":
        return (), []
    orders: list[str] = []
    if prompt.forced_tool is not None:
        tools = [tool for tool in tools if tool.name == prompt.forced_tool]
        orders.append(f"Call the function {prompt.forced_tool} now. Do not answer with text.")
    elif prompt.tool_choice == "required":
        orders.append("Call at least one of the functions now. Do not answer with text.")
    if prompt.parallel_tool_calls is False:
        orders.append("Call at most one function at a time.")
    return tools, orders


def _tool(tool: Tool) -> dict[str, Any]:
    """A function as fastapi_poe demands it: with a description, and parameters that are an object's."""
    schema = dict(tool.parameters or {})
    if not isinstance(schema.get("type"), str):
        schema["type"] = "object"
    if not isinstance(schema.get("properties"), dict):
        schema["properties"] = {}
    if not isinstance(schema.get("required"), list):
        schema.pop("required", None)
    function = {"name": tool.name, "description": tool.description or "", "parameters": schema}
    return {"type": "function", "function": function}


def _instruct(query: list[dict[str, Any]], words: str) -> None:
    if query and query[0]["role"] == "system":
        query[0]["content"] = f"{query[0]['content']}\n\n{words}"
    else:
        query.insert(0, _message("system", words))


def _last_of_user(query: list[dict[str, Any]]) -> dict[str, Any]:
    if not query:
        query.append(_message("user", ""))
    return next((message for message in reversed(query) if message["role"] == "user"), query[-1])


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content, "content_type": "text/markdown"}


def _messages(turns: Sequence[Turn], attachments: Attachments, opaque: Opaque, *, signed: bool) -> list[dict[str, Any]]:
    """The turns; results of one round of tool calls are one message, and their media follow them in a user's."""
    query: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    results: list[Turn] = []
    for turn in turns:
        if turn.role == "tool":
            results.append(turn)
            continue
        query += _results(results, names, attachments)
        results = []
        if not turn.calls or turn.text or any(isinstance(part, MediaPart) for part in turn.parts):
            query.append(_plain(turn, attachments))
        if turn.calls:
            names.update({call.id: call.name for call in turn.calls})
            query.append(_calls(turn.calls, opaque, signed=signed))
    return query + _results(results, names, attachments)


def _plain(turn: Turn, attachments: Attachments) -> dict[str, Any]:
    message = _message(ROLES[turn.role], turn.text)
    if turn.name:
        message["sender"] = {"id": None, "name": turn.name}
    files = _files(turn, attachments)
    if files:
        message["attachments"] = files
    return message


def _files(turn: Turn, attachments: Attachments) -> list[dict[str, str]]:
    found = [attachments[id(part)] for part in turn.parts if isinstance(part, MediaPart)]
    return [{"url": file.url, "content_type": file.content_type, "name": file.name} for file in found]


def _calls(calls: Sequence[Call], opaque: Opaque, *, signed: bool) -> dict[str, Any]:
    written = []
    for call, extra in zip(calls, returned(calls, opaque, signed=signed), strict=True):
        function = {"name": call.name, "arguments": call.arguments}
        members: dict[str, Any] = {"id": original(call.id), "type": "function", "function": function}
        written.append({**members, "extra_content": extra} if extra else members)
    return {**_message("bot", as_json(written).decode()), "message_type": "function_call"}


def _results(results: Sequence[Turn], names: Mapping[str, str], attachments: Attachments) -> list[dict[str, Any]]:
    if not results:
        return []
    written = [
        {
            "role": "tool",
            "name": names.get(result.call_id, result.name),
            "tool_call_id": original(result.call_id),
            "content": result.text,
        }
        for result in results
    ]
    messages = [_message("tool", as_json(written).decode())]
    files = [file for result in results for file in _files(result, attachments)]
    if files:
        messages.append({**_message("user", "The files of the results above."), "attachments": files})
    return messages
