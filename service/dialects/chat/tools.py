"""Tools and the choice among them, in every form that callers use."""

from __future__ import annotations

from typing import Any, Literal, cast

from service.contract import models
from service.contract.members import given
from service.dialects.chat.history import CUSTOM_INPUT
from service.errors import Refusal
from service.frozen import frozen
from service.prompt import Tool
from service.writing import as_json

Choice = Literal["auto", "none", "required"]


@frozen
class Toolbox:
    """The tools that the model is shown, and what it is told about choosing."""

    tools: tuple[Tool, ...] = ()
    choice: Choice | None = None
    forced: str | None = None
    custom: frozenset[str] = frozenset()
    legacy: bool = False


def toolbox_of(request: models.ChatCompletionRequest) -> Toolbox:
    """The tools of a request. Raises `Refusal` for a choice that names none of them."""
    shown, custom = _tools(given(request.tools) or [])
    functions = given(request.functions) or []
    if functions and not shown:
        return _legacy(request, tuple([_function(function) for function in functions]))
    if not shown:
        return Toolbox()  # a choice among nothing is no choice
    choice = given(request.tool_choice)
    if choice is None or isinstance(choice, str):
        return Toolbox(shown, cast("Choice | None", choice), custom=custom)
    if isinstance(choice, models.AllowedToolsChoice):
        names = {_allowed_name(entry) for entry in choice.allowed_tools.tools}
        allowed = tuple([tool for tool in shown if tool.name in names])
        if not allowed:
            raise Refusal(400, "tool_choice allows none of the tools.", param="tool_choice")
        return Toolbox(allowed, choice.allowed_tools.mode, custom=custom)
    name = choice.function.name if isinstance(choice, models.FunctionToolChoice) else choice.custom.name
    return Toolbox(shown, forced=_known(name, shown, "tool_choice"), custom=custom)


def _legacy(request: models.ChatCompletionRequest, shown: tuple[Tool, ...]) -> Toolbox:
    choice = given(request.function_call)
    if isinstance(choice, models.FunctionName):
        return Toolbox(shown, forced=_known(choice.name, shown, "function_call"), legacy=True)
    return Toolbox(shown, choice, legacy=True)


def _known(name: str, shown: tuple[Tool, ...], param: str) -> str:
    if not any(tool.name == name for tool in shown):
        raise Refusal(400, f"{param} names a tool that is not among the tools.", param=param)
    return name


def _allowed_name(entry: dict[str, Any]) -> str:
    named = entry.get("function") or entry.get("custom") or entry
    name = named.get("name") if isinstance(named, dict) else None
    return name if isinstance(name, str) else ""


def _tools(entries: list[Any]) -> tuple[tuple[Tool, ...], frozenset[str]]:
    shown: list[Tool] = []
    custom: set[str] = set()
    for entry in entries:
        if isinstance(entry, models.FunctionTool):
            shown.append(_function(entry.function))
            continue
        tool = _custom(entry)
        if tool is not None:
            shown.append(tool)
            custom.add(tool.name)
    return tuple(shown), frozenset(custom)


def _function(function: models.FunctionDefinition) -> Tool:
    return Tool(function.name, given(function.description), given(function.parameters), given(function.strict))


def _custom(entry: models.CustomTool) -> Tool | None:
    """A tool of plain text as a function of one string, its grammar told in words."""
    definition: Any = given(entry.custom) or entry
    name = given(definition.name)
    if not name:
        return None
    words = given(definition.description) or ""
    grammar = given(definition.format)
    if grammar and grammar.get("type") != "text":
        words += f"\n\nThe input must fit this grammar:\n{as_json(grammar).decode()}"
    schema = {
        "type": "object",
        "properties": {CUSTOM_INPUT: {"type": "string"}},
        "required": [CUSTOM_INPUT],
        "additionalProperties": False,
    }
    return Tool(name, words.strip() or None, schema)
