"""Reads a query of the bot protocol (poe.md 1.3, 1.6, 1.7) from its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.sandbox.ask import Ask, AskedCall, AskTurn, OfferedTool, ReceivedFile, Role
from service.sandbox.content import received_file
from service.sandbox.files import Files
from service.sandbox.poe_errors import Refused

_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "bot": "assistant", "tool": "tool"}


def read_query(body: Mapping[str, Any], files: Files) -> Ask:
    """The question in a query.

    The raw JSON is read, since the library's types keep only half of a tool's schema (poe.md 2.12). ValueError where
    the body is no query; `Refused` where an attachment is unknown.
    """
    messages = body.get("query")
    if not isinstance(messages, list) or not messages:
        raise ValueError("no messages")
    turns = [_turn(_mapping(message), files) for message in messages]
    calls = tuple(_call(_mapping(call)) for call in _list(body.get("tool_calls")))
    if calls:
        turns.append(AskTurn("assistant", calls=calls))
    turns += [_result(_mapping(result)) for result in _list(body.get("tool_results"))]
    return Ask(
        turns=tuple(_spread(turns)),
        tools=tuple(_tool(_mapping(tool)) for tool in _list(body.get("tools"))),
        parameters=_parameters(messages),
        stop=tuple(stop for stop in _list(body.get("stop_sequences")) if isinstance(stop, str)),
    )


def _turn(message: Mapping[str, Any], files: Files) -> AskTurn:
    role = _ROLES.get(str(message.get("role")))
    content = message.get("content")
    if role is None or not isinstance(content, str):
        raise ValueError("a message has a role and a string as content")
    if message.get("message_type") == "function_call":
        calls = tuple(_call(_mapping(call)) for call in _list(_json(content)))
        return AskTurn("assistant", calls=calls)
    attachments = tuple(_attachment(_mapping(one), files) for one in _list(message.get("attachments")))
    return AskTurn(role, content, attachments)


def _spread(turns: list[AskTurn]) -> list[AskTurn]:
    """One tool message holds the JSON of several results (poe.md 1.6); spread them. Other text stays one result."""
    spread: list[AskTurn] = []
    for turn in turns:
        results = _json(turn.text) if turn.role == "tool" and not turn.call_id else None
        if isinstance(results, list) and results and all(isinstance(one, Mapping) for one in results):
            spread += [_result(one) for one in results]
        else:
            spread.append(turn)
    return spread


def _result(result: Mapping[str, Any]) -> AskTurn:
    return AskTurn(
        "tool",
        str(result.get("content", "")),
        call_id=str(result.get("tool_call_id", "")),
        name=str(result.get("name", "")),
    )


def _call(call: Mapping[str, Any]) -> AskedCall:
    function = _mapping(call.get("function"))
    return AskedCall(str(call.get("id", "")), str(function.get("name", "")), str(function.get("arguments", "")))


def _tool(tool: Mapping[str, Any]) -> OfferedTool:
    function = _mapping(tool.get("function"))
    parameters = function.get("parameters")
    return OfferedTool(str(function.get("name", "")), parameters if isinstance(parameters, Mapping) else {})


def _attachment(attachment: Mapping[str, Any], files: Files) -> ReceivedFile:
    url = str(attachment.get("url", ""))
    if files.find(url) is None:
        # How Poe says that it does not know an attachment, or no longer, is unknown (poe.md 1.8, 11.4).
        raise Refused(
            400,
            f"Attachment {url[:200]} could not be downloaded.",
            error_type="user_caused_error",
            allow_retry=False,
        )
    return received_file(
        url, str(attachment.get("name", "")), files, content_type=str(attachment.get("content_type", ""))
    )


def _parameters(messages: list[Any]) -> Mapping[str, Any]:
    """Custom parameters ride on the last user message; unknown ones are taken as they are (a guess: poe.md 11.3)."""
    users = [message for message in messages if isinstance(message, Mapping) and message.get("role") == "user"]
    parameters = users[-1].get("parameters") if users else None
    return parameters if isinstance(parameters, Mapping) else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("an object is missing")
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
