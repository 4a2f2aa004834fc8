"""The sandbox refuses on chat completions what Poe's strict validation refuses, in its words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.sandbox.talking import KEY, WEATHER, message_of, post, post_chat, user

UNKNOWN = "Unknown parameter: '{}'."


def refusal(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    return error


@pytest.mark.parametrize("name", ["models", "thinking", "extra_body", "functions", "thinking_budget", "web_search"])
def test_a_field_that_is_neither_standard_nor_declared_is_refused(url: str, name: str) -> None:
    error = refusal(post_chat(url, "sandbox-echo", "hello", **{name: 1}))
    assert error == {"message": UNKNOWN.format(name), "type": "invalid_request_error"}


@pytest.mark.parametrize(
    "body",
    [
        {"web_search": True, "verbosity": "low"},
        {"reasoning_effort": "high"},
        {"seed": 1, "user": "me", "metadata": {}, "logit_bias": {}, "presence_penalty": 0, "store": False},
        {"temperature": 2, "top_p": 1, "logprobs": True, "top_logprobs": 2, "n": 1},
    ],
)
def test_standard_and_declared_fields_pass(url: str, body: dict[str, Any]) -> None:
    assert message_of(post_chat(url, "sandbox-gpt-5.2", "hello", **body))["content"] == "hello"


def test_stream_options_are_refused_for_openais_models_and_honoured_for_others(url: str) -> None:
    body: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    assert refusal(post_chat(url, "sandbox-gpt-5.2", "hello", **body))["message"] == UNKNOWN.format("stream_options")
    assert '"usage"' in post_chat(url, "sandbox-claude-4.6", "hello", **body).text


@pytest.mark.parametrize("role", ["developer", "function", "bot", "", None])
def test_a_role_that_poe_does_not_know_is_refused_in_its_words(url: str, role: str | None) -> None:
    error = refusal(post_chat(url, "sandbox-echo", [{"role": role, "content": "x"}]))
    assert error["message"] == "Invalid 'role': Input should be 'system', 'user' or 'bot'"


@pytest.mark.parametrize(
    "body",
    [
        {"n": 2},
        {"temperature": 3},
        {"temperature": "hot"},
        {"top_p": -1},
        {"max_tokens": 0},
        {"max_completion_tokens": True},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": " \n"},
        {"stop": [1]},
        {"stream": "yes"},
        {"stream_options": 1},
        {"tools": "all"},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
        {"tools": [{"type": "function", "function": {"name": "has a blank"}}]},
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": []}}]},
        {"tool_choice": "auto"},
        {"parallel_tool_calls": True},
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(url: str, body: dict[str, Any]) -> None:
    refusal(post_chat(url, "sandbox-tools", "hello", **body))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "hello",
        ["hello"],
        [{"role": "user"}],
        [{"role": "user", "content": 3}],
        [{"role": "user", "content": [{"type": "video_url"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}}]}],
        [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
        [*user("x"), {"role": "tool", "tool_call_id": "nobody", "content": "y"}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": 3}]}],
    ],
    ids=str,
)
def test_wrong_messages_are_refused(url: str, messages: Any) -> None:
    body = {"model": "sandbox-tools", "messages": messages}
    refusal(post(f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}))


def test_a_value_outside_a_declared_choice_is_refused_with_the_choices(url: str) -> None:
    error = refusal(post_chat(url, "sandbox-gpt-5.2", "hello", reasoning_effort="maximal"))
    assert error["message"].startswith(
        "Unsupported value: 'maximal' is not supported with the 'sandbox-gpt-5.2' model."
    )
    assert "'xhigh'" in error["message"]
    refusal(post_chat(url, "sandbox-haiku-4.5", "hello", thinking_budget=100_000))
    refusal(post_chat(url, "sandbox-kimi-k2.5", "hello", enable_thinking="yes"))


def test_effort_is_ignored_where_a_model_does_not_declare_it(url: str) -> None:
    assert "reasoning_content" not in message_of(post_chat(url, "sandbox-echo", "hello", reasoning_effort="high"))


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"x"', b"{}", b'{"model": 3}', b'{"model": "\xff"}', b'{"model": NaN}']
)
def test_a_body_that_is_no_request_is_refused(url: str, raw: bytes) -> None:
    refusal(post(f"{url}/v1/chat/completions", content=raw, headers={"authorization": f"Bearer {KEY}"}))


def test_an_unknown_model_is_404(url: str) -> None:
    missing = post_chat(url, "sandbox-nobody", "hello")
    assert missing.status_code == 404
    assert missing.json()["error"]["type"] == "not_found_error"
