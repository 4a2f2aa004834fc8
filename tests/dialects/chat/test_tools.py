"""Tools and the choice among them, in every form that programs use."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from service.contract.models import ChatCompletionRequest
from service.dialects.chat.calls import CallWriter, whole_call
from service.dialects.chat.options import Options
from service.dialects.chat.tools import Toolbox, toolbox_of
from service.errors import Refusal
from service.events import ToolCall

SCHEMA = {"type": "object", "properties": {"deep": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"type": "boolean"}}}
LOOK = {"type": "function", "function": {"name": "look", "description": "Look", "parameters": SCHEMA, "strict": True}}
HEAR = {"type": "function", "function": {"name": "hear"}}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}


def toolbox(**members: Any) -> Toolbox:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    return toolbox_of(ChatCompletionRequest.model_validate(body))


def test_a_function_is_shown_as_the_caller_wrote_it() -> None:
    box = toolbox(tools=[LOOK, HEAR])
    assert [tool.name for tool in box.tools] == ["look", "hear"]
    look, hear = box.tools
    assert (look.description, look.parameters, look.strict) == ("Look", SCHEMA, True)
    assert (hear.description, hear.parameters, hear.strict) == (None, None, None)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "custom", "custom": {"name": "patch", "description": "Edit.", "format": GRAMMAR}},
        {"type": "custom", "name": "patch", "description": "Edit.", "format": GRAMMAR},
    ],
    ids=["nested as OpenAI has it", "flat as Cursor sends it"],
)
def test_a_tool_of_plain_text_is_a_function_of_one_string(entry: dict[str, Any]) -> None:
    box = toolbox(tools=[entry])
    assert box.custom == {"patch"}
    (tool,) = box.tools
    assert tool.name == "patch"
    assert tool.description is not None
    assert tool.description.startswith("Edit.")
    assert orjson.loads(tool.description.rpartition("\n")[2]) == GRAMMAR
    assert tool.parameters is not None
    assert tool.parameters["properties"] == {"input": {"type": "string"}}
    assert tool.parameters["required"] == ["input"]


def test_a_format_of_text_needs_no_words() -> None:
    (tool,) = toolbox(tools=[{"type": "custom", "custom": {"name": "note", "format": {"type": "text"}}}]).tools
    assert tool.description is None


def test_a_tool_without_a_name_is_ignored() -> None:
    assert toolbox(tools=[{"type": "custom"}], tool_choice="required") == Toolbox()


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_plain_choice_is_kept(choice: str) -> None:
    assert toolbox(tools=[LOOK], tool_choice=choice).choice == choice


@pytest.mark.parametrize("tools", [None, []])
def test_a_choice_among_nothing_is_no_choice(tools: Any) -> None:
    assert toolbox(tools=tools, tool_choice="required", parallel_tool_calls=True) == Toolbox()


def test_one_tool_can_be_forced() -> None:
    assert toolbox(tools=[LOOK, HEAR], tool_choice={"type": "function", "function": {"name": "hear"}}).forced == "hear"
    custom = {"type": "custom", "custom": {"name": "patch"}}
    assert toolbox(tools=[custom], tool_choice=custom).forced == "patch"


def test_forcing_an_unknown_tool_is_refused_by_name_of_the_member() -> None:
    with pytest.raises(Refusal) as caught:
        toolbox(tools=[LOOK], tool_choice={"type": "function", "function": {"name": "smell"}})
    assert (caught.value.status, caught.value.param) == (400, "tool_choice")


@pytest.mark.parametrize(
    "allowed",
    [{"type": "function", "function": {"name": "hear"}}, {"type": "function", "name": "hear"}],
    ids=["nested", "flat"],
)
def test_only_allowed_tools_are_shown(allowed: dict[str, Any]) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [allowed]}}
    box = toolbox(tools=[LOOK, HEAR], tool_choice=choice)
    assert [tool.name for tool in box.tools] == ["hear"]
    assert box.choice == "required"


@pytest.mark.parametrize("names", [[], [{"type": "function"}], [{"type": "function", "function": "look"}]])
def test_allowing_none_of_the_tools_is_refused(names: list[Any]) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": names}}
    with pytest.raises(Refusal) as caught:
        toolbox(tools=[LOOK], tool_choice=choice)
    assert caught.value.param == "tool_choice"


def test_the_older_form_is_taken_where_the_newer_is_missing() -> None:
    box = toolbox(functions=[LOOK["function"]], function_call={"name": "look"})
    assert (box.legacy, box.forced, box.tools[0].parameters) == (True, "look", SCHEMA)
    assert toolbox(functions=[LOOK["function"]], function_call="none").choice == "none"
    assert not toolbox(functions=[LOOK["function"]], tools=[HEAR]).legacy
    with pytest.raises(Refusal) as caught:
        toolbox(functions=[LOOK["function"]], function_call={"name": "smell"})
    assert caught.value.param == "function_call"


def test_a_grammar_may_hold_any_number() -> None:
    (tool,) = toolbox(
        tools=[{"type": "custom", "name": "n", "format": {"type": "grammar", "definition": 10**30}}]
    ).tools
    assert "1e+30" in str(tool.description) or "1e30" in str(tool.description)


CUSTOM = Options(custom_tools=frozenset({"patch"}))


def test_a_call_of_a_plain_text_tool_comes_back_unwrapped() -> None:
    deltas = [ToolCall(0, "id", "patch", '{"inp'), ToolCall(0, "id", None, 'ut": "a\\nb"}')]
    assert whole_call(deltas, CUSTOM) == {"id": "id", "type": "custom", "custom": {"name": "patch", "input": "a\nb"}}


@pytest.mark.parametrize("written", ["not JSON", "[1]", '{"other": "x"}', '{"input": 1}', ""])
def test_what_a_model_wrote_against_the_schema_is_given_as_it_is(written: str) -> None:
    call = whole_call([ToolCall(0, "id", "patch", written)], CUSTOM)
    assert call["custom"]["input"] == written


def test_calls_behind_a_plain_text_call_wait_for_it() -> None:
    writer = CallWriter(CUSTOM)
    first = writer.feed(ToolCall(0, "a", "look", "{"))
    assert first == [
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": "{"}}]}
    ]
    assert writer.feed(ToolCall(1, "b", "patch", '{"input":"x"}')) == []
    assert writer.feed(ToolCall(2, "c", "look", "{}")) == []
    assert writer.feed(ToolCall(0, "a", None, "}")) == [
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}
    ], "a call before it goes on"
    held = [delta["tool_calls"][0] for delta in writer.flush()]
    assert [(call["index"], call["id"], call["type"]) for call in held] == [(1, "b", "custom"), (2, "c", "function")]
    assert writer.flush() == []
