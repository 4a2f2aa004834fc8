"""openai's Python clients call tools: whole and streamed, one and several, there and back again, on both wires."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.clients.speaker import Speaker

pytestmark = pytest.mark.anyio

MODELS = ("sandbox-tools", "sandbox-gpt-5.2", "sandbox-claude-4.6", "sandbox-gemini-3.1", "sandbox-kimi-k2.5")
"""Whose call ids look different, repeat in every turn, or want a signature back."""

QUESTION = 'What is the weather in "Oslo", and can you add 3 and 4?'


class GetWeather(BaseModel):
    """The weather at a place."""

    city: str


class AddNumbers(BaseModel):
    """The sum of two numbers."""

    left: int
    right: int


TOOLS = [
    openai.pydantic_function_tool(GetWeather, name="get_weather"),
    openai.pydantic_function_tool(AddNumbers, name="add_numbers"),
]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def told(client: Speaker, *, streamed: bool, **members: Any) -> Any:
    """The one choice of an answer, added up by the SDK where it was streamed."""
    if streamed:
        _, completion = await client.accumulate(**members)
    else:
        completion = await client.create(**members)
    (choice,) = completion.choices
    return choice


def run(call: Any) -> dict[str, Any]:
    """The result of one call, as a message."""
    given = json.loads(call.function.arguments)
    result = f"rain in {given['city']}" if call.function.name == "get_weather" else given["left"] + given["right"]
    return {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS)
async def test_a_loop_of_parallel_calls(client: Speaker, model: str, streamed: bool) -> None:
    messages: list[Any] = [user(QUESTION)]
    seen: set[str] = set()
    for _ in range(2):
        asked = await told(client, streamed=streamed, model=model, messages=messages, tools=TOOLS)
        calls = asked.message.tool_calls
        assert asked.finish_reason == "tool_calls"
        assert [call.function.name for call in calls] == ["get_weather", "add_numbers"]
        assert json.loads(calls[0].function.arguments) == {"city": "Oslo"}
        assert json.loads(calls[1].function.arguments) == {"left": 3, "right": 4}
        assert not seen & {call.id for call in calls}
        seen |= {call.id for call in calls}
        messages += [asked.message, *map(run, calls)]
        answered = await told(client, streamed=streamed, model=model, messages=messages, tools=TOOLS)
        assert answered.finish_reason == "stop"
        assert answered.message.content == 'get_weather says: "rain in Oslo"\nadd_numbers says: 7'
        assert not answered.message.tool_calls
        messages += [answered.message, user(QUESTION)]
    assert len(seen) == 4


async def test_the_sdk_tells_of_calls_as_they_come(client: Speaker) -> None:
    events, completion = await client.accumulate(model="sandbox-tools", messages=[user(QUESTION)], tools=TOOLS)
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [GetWeather(city="Oslo"), AddNumbers(left=3, right=4)]
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    assert "".join(event.arguments_delta for event in deltas if event.index == 1) == done[1].arguments
    parsed = [call.function.parsed_arguments for call in completion.choices[0].message.tool_calls]
    assert parsed == [event.parsed_arguments for event in done]


async def test_every_delta_of_a_call_has_its_index_and_only_the_first_its_name(client: Speaker) -> None:
    chunks = await client.chunks(model="sandbox-gpt-5.2", messages=[user(QUESTION)], tools=TOOLS)
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    for index in (0, 1):
        first, *rest = [delta for delta in deltas if delta.index == index]
        assert first.id
        assert (first.type, first.function.name) == ("function", ["get_weather", "add_numbers"][index])
        assert rest
        assert all(delta.id is None and delta.function.name is None for delta in rest)


async def test_parse_reads_arguments(client: Speaker) -> None:
    answer = await client.parse(model="sandbox-tools", messages=[user(QUESTION)], tools=TOOLS)
    calls = answer.choices[0].message.tool_calls
    assert [call.function.parsed_arguments for call in calls] == [GetWeather(city="Oslo"), AddNumbers(left=3, right=4)]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_one_call_at_a_time_where_that_was_asked(client: Speaker, streamed: bool) -> None:
    choice = await told(
        client,
        streamed=streamed,
        model="sandbox-gpt-5.2",
        messages=[user(QUESTION)],
        tools=TOOLS,
        parallel_tool_calls=False,
    )
    assert [call.function.name for call in choice.message.tool_calls] == ["get_weather"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "add_numbers"}}, ["add_numbers"]),
    ],
    ids=["none", "auto", "required", "named"],
)
async def test_the_choice_of_a_tool_is_kept(client: Speaker, choice: Any, called: list[str], streamed: bool) -> None:
    answer = await told(
        client, streamed=streamed, model="sandbox-gpt-5.2", messages=[user("Hello")], tools=TOOLS, tool_choice=choice
    )
    assert [call.function.name for call in answer.message.tool_calls or []] == called
    assert (answer.message.content or "") == ("" if called else "Hello")
