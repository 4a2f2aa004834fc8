"""Chat completions of the sandbox: tools, reasoning, limits, media, and each model's own habit."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from service.sandbox.models.structured import WRONG
from tests.sandbox.talking import WEATHER, chunks_of, content_of, get, message_of, post_chat, user


def tool(name: str, **properties: Any) -> dict[str, Any]:
    """A tool whose members are all required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


TIME = tool("get_time", zone={"enum": ["UTC", "CET"]})
ADD = tool("add_numbers", a={"type": "integer"}, b={"type": "integer"})


def called(message: dict[str, Any]) -> list[str]:
    return [call["function"]["name"] for call in message.get("tool_calls", [])]


def round_trip(url: str, model: str, **changes: Any) -> httpx.Response:
    """A tool call, and the next turn with its result; `changes` overwrite members of the call on its way back."""
    first = message_of(post_chat(url, model, "Weather in 'Oslo'?", tools=[WEATHER]))
    call = {**first["tool_calls"][0], **changes}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"}
    turns = [*user("Weather in 'Oslo'?"), {"role": "assistant", "content": "", "tool_calls": [call]}, result]
    return post_chat(url, model, turns, tools=[WEATHER])


def test_echo_repeats_the_last_user_message(url: str) -> None:
    turns = [*user("first"), {"role": "assistant", "content": "first"}, *user("second, 第二 ✓")]
    assert message_of(post_chat(url, "sandbox-echo", turns))["content"] == "second, 第二 ✓"


def test_a_stream_comes_word_by_word_and_says_its_role_once(url: str) -> None:
    text = post_chat(url, "sandbox-echo", "one two three", stream=True).text
    chunks = chunks_of(text)
    assert chunks[-1] == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "one "},
        {"content": "two "},
        {"content": "three"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks[:-1]}) == 1


def test_usage_comes_last_where_it_is_asked_for(url: str) -> None:
    options = {"include_usage": True}
    *_, usage, done = chunks_of(post_chat(url, "sandbox-echo", "a b", stream=True, stream_options=options).text)
    assert done == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert "usage" not in post_chat(url, "sandbox-echo", "a b", stream=True).text


def test_usage_leaves_out_system_text_and_tools(url: str) -> None:
    turns = [{"role": "system", "content": "many words " * 50}, *user("a b")]
    assert post_chat(url, "sandbox-tools", turns, tools=[WEATHER]).json()["usage"]["prompt_tokens"] == 2


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        ({"max_tokens": 2}, "one two", "length"),
        ({"max_completion_tokens": 3, "max_tokens": 9}, "one two three", "length"),
        ({"max_tokens": 9}, "one two three four", "stop"),
        ({"stop": "three"}, "one two ", "stop"),
        ({"stop": ["four", "two"]}, "one ", "stop"),
    ],
)
def test_an_answer_ends_at_the_callers_limits(url: str, body: dict[str, Any], text: str, finish: str) -> None:
    (choice,) = post_chat(url, "sandbox-echo", "one two three four", **body).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)
    stream = post_chat(url, "sandbox-echo", "one two three four", stream=True, **body).text
    assert content_of(stream) == text


def test_a_single_tool_is_called_with_sampled_arguments(url: str) -> None:
    response = post_chat(url, "sandbox-tools", "What is the weather in 'San Francisco'?", tools=[WEATHER])
    (call,) = message_of(response)["tool_calls"]
    assert call["type"] == "function"
    assert json.loads(call["function"]["arguments"]) == {"location": "San Francisco"}
    assert response.json()["choices"][0]["finish_reason"] == "tool_calls"


def test_arguments_take_words_in_any_script(url: str) -> None:
    create = tool("create_customer", customer_name={"type": "string"})
    message = message_of(post_chat(url, "sandbox-tools", "创建一个名为“你好啊集团”的客户", tools=[create]))
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"customer_name": "你好啊集团"}


@pytest.mark.parametrize(
    ("text", "body", "names"),
    [
        ("What time is it?", {}, ["get_time"]),
        ("What is the weather and the time?", {}, ["getWeather", "get_time"]),
        ("What is the weather and the time?", {"parallel_tool_calls": False}, ["getWeather"]),
        ("Use add_numbers, not the weather", {}, ["add_numbers"]),
        ("Good morning!", {}, []),
        ("What a pleasant pastime", {}, []),
        ("Good morning!", {"tool_choice": "required"}, ["getWeather"]),
        ("What time is it?", {"tool_choice": "none"}, []),
        (
            "What time is it?",
            {"tool_choice": {"type": "function", "function": {"name": "add_numbers"}}},
            ["add_numbers"],
        ),
    ],
)
def test_of_several_tools_the_fitting_ones_are_called(
    url: str, text: str, body: dict[str, Any], names: list[str]
) -> None:
    message = message_of(post_chat(url, "sandbox-tools", text, tools=[WEATHER, TIME, ADD], **body))
    assert called(message) == names
    assert message["content"] == ("" if names else text)


def test_streamed_tool_calls_come_in_fragments_that_join_to_the_whole_call(url: str) -> None:
    text = post_chat(
        url, "sandbox-tools", "The weather in 'New York' and the time", stream=True, tools=[WEATHER, TIME]
    ).text
    chunks = [chunk for chunk in chunks_of(text) if isinstance(chunk, dict)]
    fragments = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    for index, name in enumerate(["getWeather", "get_time"]):
        first, *rest = [fragment for fragment in fragments if fragment["index"] == index]
        assert (first["function"]["name"], first["type"], first["function"]["arguments"]) == (name, "function", "")
        assert first["id"]
        assert all(set(fragment) == {"index", "function"} for fragment in rest)
    arguments = "".join(fragment["function"]["arguments"] for fragment in fragments if fragment["index"] == 0)
    assert json.loads(arguments) == {"location": "New York"}
    assert len([fragment for fragment in fragments if fragment["index"] == 0]) > 2
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("model", ["sandbox-tools", "sandbox-gpt-5.2", "sandbox-claude-4.6", "sandbox-kimi-k2.5"])
def test_a_tool_result_runs_through_the_answer(url: str, model: str) -> None:
    response = round_trip(url, model)
    assert message_of(response)["content"] == "getWeather says: 12 degrees"
    assert response.json()["choices"][0]["finish_reason"] == "stop"


def test_gemini_wants_its_thought_signature_back(url: str) -> None:
    assert "12 degrees" in message_of(round_trip(url, "sandbox-gemini-3.1"))["content"]
    for extra in ({}, {"google": {"thought_signature": "made up"}}):
        refused = round_trip(url, "sandbox-gemini-3.1", extra_content=extra)
        assert refused.status_code == 400
        assert "thought_signature" in refused.json()["error"]["message"]


def test_kimis_ids_repeat_in_every_turn_and_others_do_not(url: str) -> None:
    def call_id(model: str) -> str:
        identifier: str = message_of(post_chat(url, model, "Weather?", tools=[WEATHER]))["tool_calls"][0]["id"]
        return identifier

    assert call_id("sandbox-kimi-k2.5") == call_id("sandbox-kimi-k2.5") == "getWeather:0"
    assert call_id("sandbox-tools") != call_id("sandbox-tools")


def test_grok_streams_with_tools_into_silence(url: str) -> None:
    text = post_chat(url, "sandbox-grok-4", "Weather?", stream=True, tools=[WEATHER]).text
    assert "[DONE]" not in text
    assert "tool_calls" not in text
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks_of(text))
    assert called(message_of(post_chat(url, "sandbox-grok-4", "Weather?", tools=[WEATHER]))) == ["getWeather"]


def test_reasoning_is_told_under_both_names(url: str) -> None:
    message = message_of(post_chat(url, "sandbox-reasoner", "hello"))
    assert message["reasoning_content"] == message["reasoning"] != ""
    chunks = chunks_of(post_chat(url, "sandbox-reasoner", "hello", stream=True).text)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if isinstance(chunk, dict)]
    thoughts = [delta for delta in deltas if "reasoning_content" in delta]
    assert "".join(delta["reasoning_content"] for delta in thoughts) == message["reasoning"]
    assert all(delta["reasoning"] == delta["reasoning_content"] for delta in thoughts)


@pytest.mark.parametrize(
    ("model", "awake", "asleep"),
    [
        ("sandbox-gpt-5.2", {"reasoning_effort": "high"}, {"reasoning_effort": "none"}),
        ("sandbox-claude-4.6", {"output_effort": "max"}, {"output_effort": "low"}),
        ("sandbox-haiku-4.5", {"thinking_budget": 2048}, {"thinking_budget": 0}),
        ("sandbox-gemini-3.1", {"thinking_level": "high"}, {"thinking_level": "low"}),
        ("sandbox-kimi-k2.5", {"enable_thinking": True}, {"enable_thinking": False}),
        ("sandbox-mimo-v2", {"deep_thinking": True}, {"deep_thinking": False}),
    ],
)
def test_each_family_thinks_when_its_own_parameter_says_so(
    url: str, model: str, awake: dict[str, Any], asleep: dict[str, Any]
) -> None:
    ((name, value),) = awake.items()
    thoughts = message_of(post_chat(url, model, "hello", **awake))["reasoning_content"]
    assert f"{name} is {json.dumps(value)}" in thoughts
    assert "reasoning_content" not in message_of(post_chat(url, model, "hello", **asleep))
    assert "reasoning_content" not in message_of(post_chat(url, model, "hello"))


RECIPE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "steps": {"type": "array", "items": {"type": "string"}, "minItems": 2}},
    "required": ["name", "steps"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "recipe", "schema": RECIPE}}


def test_the_json_model_follows_response_format_and_others_ignore_it(url: str) -> None:
    content = message_of(post_chat(url, "sandbox-json", "A 'smoothie'", response_format=FORMAT))["content"]
    assert json.loads(content)["name"] == "smoothie"
    assert (
        message_of(post_chat(url, "sandbox-echo", "A 'smoothie'", response_format=FORMAT))["content"] == "A 'smoothie'"
    )


def test_the_json_model_finds_a_schema_in_the_prompt(url: str) -> None:
    turns = [{"role": "system", "content": f"Answer JSON that fits this schema:\n{json.dumps(RECIPE)}\nOnly that."}]
    content = message_of(post_chat(url, "sandbox-json", [*turns, *user("A 'smoothie' {not json}")]))["content"]
    assert json.loads(content)["name"] == "smoothie"


def test_the_json_model_repairs_its_answer_when_told(url: str) -> None:
    asked = user("Be clumsy about a 'smoothie'")
    first = message_of(post_chat(url, "sandbox-json", asked, response_format=FORMAT))["content"]
    assert first == WRONG
    as_turn = [*asked, {"role": "assistant", "content": first}, *user("That was no JSON")]
    as_quotation = [{"role": "system", "content": f"This was wrong: {first}"}, *asked]
    for turns in (as_turn, as_quotation):
        content = message_of(post_chat(url, "sandbox-json", turns, response_format=FORMAT))["content"]
        assert json.loads(content)["name"] == "smoothie"
    hopeless = [*user("hopeless"), {"role": "assistant", "content": first}, *user("Again")]
    assert message_of(post_chat(url, "sandbox-json", hopeless, response_format=FORMAT))["content"] == WRONG


def test_the_vision_model_tells_what_it_was_given(url: str) -> None:
    png = base64.b64encode(b"not really a picture").decode()
    pdf = base64.b64encode(b"%PDF-1.7").decode()
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    told = message_of(post_chat(url, "sandbox-vision", [{"role": "user", "content": parts}]))["content"]
    assert told.split("\n") == [
        "I got 3 attachments:",
        "1. image without a name (image/png, 20 bytes)",
        "2. image cat.jpg (unknown type, not fetched)",
        "3. file paper.pdf (application/pdf, 8 bytes)",
    ]


@pytest.mark.parametrize(
    ("model", "magic", "content_type"),
    [
        ("sandbox-image", b"\x89PNG\r\n", "image/png"),
        ("sandbox-speech", b"RIFF", "audio/wav"),
        ("sandbox-video", b"\x00\x00\x00\x1cftyp", "video/mp4"),
    ],
)
def test_a_made_file_can_be_fetched(url: str, model: str, magic: bytes, content_type: str) -> None:
    address = message_of(post_chat(url, model, "something nice"))["content"].split()[-1]
    fetched = get(address)
    assert fetched.headers["content-type"] == content_type
    assert fetched.content.startswith(magic)
    assert content_of(post_chat(url, model, "something nice", stream=True).text).split()[-1].startswith(url)


def test_the_picture_has_the_shape_that_was_asked_for(url: str) -> None:
    content = message_of(post_chat(url, "sandbox-image", "wide", aspect_ratio="16:9"))["content"]
    assert content.endswith("?w=64&h=36")


def test_the_slow_model_keeps_the_pace_of_the_prompt(url: str) -> None:
    response = post_chat(url, "sandbox-slow", "speed: 40 one two three four five", stream=True)
    assert content_of(response.text).endswith("five")
    assert 6 / 40 <= response.elapsed.total_seconds() < 5


def test_a_rewritten_text_is_told_once_and_final(url: str) -> None:
    final = "A second thought: hello"
    assert message_of(post_chat(url, "sandbox-rewriter", "hello"))["content"] == final
    assert content_of(post_chat(url, "sandbox-rewriter", "hello", stream=True).text) == final


def test_a_bot_that_chat_does_not_serve_says_so(url: str) -> None:
    refused = post_chat(url, "sandbox-bot", "hello")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "Model does not support chat completions method."
