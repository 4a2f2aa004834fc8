"""The official openai client talks to the sandbox's chat completions directly, with its answers validated."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

from tests.sandbox.talking import KEY, WEATHER, user


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="sandbox-echo", messages=user("hello"))  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "hello"
    assert answer.usage is not None


def test_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="sandbox-echo", messages=user("one two"), stream=True)  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "one two"


def test_a_tool_call(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(  # type: ignore[call-overload]
        model="sandbox-tools", messages=user("Weather in 'Oslo'?"), tools=[WEATHER]
    )
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "Oslo"}


def test_an_error_has_its_type(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="sandbox-failing", messages=user("fail: status 429"))  # type: ignore[arg-type]
    assert caught.value.type == "rate_limit_error"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=user("x"))  # type: ignore[arg-type]
