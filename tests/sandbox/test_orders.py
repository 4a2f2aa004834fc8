"""The sandbox's general models do what a system prompt says about the very next answer, on either wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.sandbox.ask import Ask, AskTurn
from service.sandbox.models.orders import told_to_answer_json, told_to_call
from tests.sandbox.talking import WEATHER, message_of, post_chat

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "readClock", "parameters": {"type": "object"}}}


def asked(words: str, role: str = "system") -> Ask:
    return Ask((AskTurn(role, words), AskTurn("user", "Hello")))  # type: ignore[arg-type]


def conversation(order: str, text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": order}, {"role": "user", "content": text}]


@pytest.mark.parametrize(
    "words", ["Answer with JSON and nothing else.", "Be kind.\nreply in json only", "Respond with JSON only!"]
)
def test_json_is_an_order_where_nothing_else_will_do(words: str) -> None:
    assert told_to_answer_json(asked(words))
    assert not told_to_answer_json(asked(words, role="user"))


@pytest.mark.parametrize(
    "words", ["You may answer in JSON.", "Files are JSON. Change only what you must.", "Use tools."]
)
def test_json_in_general_is_no_order(words: str) -> None:
    assert not told_to_answer_json(asked(words))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Call at least one of the functions now.", True),
        ("You must call a tool now, whatever you think.", True),
        ("Call a tool when it helps.", False),
        ("Always call the tools in parallel. You are in the terminal now.", False),
    ],
)
def test_a_call_is_an_order_when_it_is_due_now(words: str, told: bool) -> None:
    assert told_to_call(asked(words)) is told


def test_a_model_told_so_answers_json_that_fits(url: str) -> None:
    order = f"Answer with JSON that fits this JSON Schema and nothing else.\n{json.dumps(SCHEMA)}"
    message = message_of(post_chat(url, "sandbox-gpt-5.2", conversation(order, 'I live in "Oslo".')))
    assert json.loads(message["content"]) == {"city": "Oslo"}


def test_a_model_told_so_answers_json_after_its_tools_too(url: str) -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "getWeather", "arguments": "{}"}}]
    turns = conversation(f"Answer with JSON and nothing else.\n{json.dumps(SCHEMA)}", 'Weather in "Oslo"?')
    turns += [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": "call_1", "content": "Rain"}]
    message = message_of(post_chat(url, "sandbox-gpt-5.2", turns, tools=[WEATHER]))
    assert json.loads(message["content"]) == {"city": "Oslo"}


def test_a_model_told_to_call_calls_though_nothing_fits(url: str) -> None:
    order = "Call at least one of the functions now."
    message = message_of(post_chat(url, "sandbox-tools", conversation(order, "Hello"), tools=[WEATHER, CLOCK]))
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["getWeather"]
    idle = message_of(post_chat(url, "sandbox-tools", conversation("Be kind.", "Hello"), tools=[WEATHER, CLOCK]))
    assert idle["content"] == "Hello"


def test_a_model_told_so_calls_one_at_a_time(url: str) -> None:
    text = "What is the weather, and what says the clock?"
    both = message_of(post_chat(url, "sandbox-tools", conversation("Be kind.", text), tools=[WEATHER, CLOCK]))
    assert len(both["tool_calls"]) == 2
    order = "Call at most one function at a time."
    one = message_of(post_chat(url, "sandbox-tools", conversation(order, text), tools=[WEATHER, CLOCK]))
    assert [call["function"]["name"] for call in one["tool_calls"]] == ["getWeather"]
