"""openai's Python clients get the JSON they ask for through their parse helpers, or a plain error, on both wires."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from tests.clients.speaker import Speaker

pytestmark = pytest.mark.anyio

QUESTION = 'I moved from "Oslo" to "Bergen" 12 years ago.'
MODELS = ("sandbox-json", "sandbox-gpt-5.2")
"""One that knows the request's field, and one that only does as the prompt says."""


class Move(BaseModel):
    """Where somebody moved, and when."""

    start: str
    end: str
    years: int
    mood: Literal["glad", "sad"] | None


EXPECTED = Move(start="Oslo", end="Bergen", years=12, mood="glad")


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("model", MODELS)
async def test_parse_makes_an_object(client: Speaker, model: str) -> None:
    answer = await client.parse(model=model, messages=user(QUESTION), response_format=Move)
    assert answer.choices[0].message.parsed == EXPECTED


@pytest.mark.parametrize("model", MODELS)
async def test_the_stream_helper_makes_the_same_object(client: Speaker, model: str) -> None:
    events, completion = await client.accumulate(model=model, messages=user(QUESTION), response_format=Move)
    assert completion.choices[0].message.parsed == EXPECTED
    assert [event.parsed for event in events if event.type == "content.done"] == [EXPECTED]


async def test_any_object_will_do_where_no_schema_is_given(client: Speaker) -> None:
    answer = await client.create(
        model="sandbox-gpt-5.2", messages=user("Hello"), response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


async def test_a_wrong_answer_is_mended_once_and_that_is_told(client: Speaker) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "move", "schema": Move.model_json_schema()}}
    messages = user(f"{QUESTION} (clumsy)")
    response = await client.raw(model="sandbox-json", messages=messages, response_format=schema)
    assert Move.model_validate_json(response.parse().choices[0].message.content)
    assert "response_format" in response.headers["x-proxy-notice"]


async def test_an_answer_that_cannot_be_mended_is_an_error(client: Speaker) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await client.parse(model="sandbox-json", messages=user(f"{QUESTION} (hopeless)"), response_format=Move)
    assert (caught.value.status_code, caught.value.code) == (502, "schema_mismatch")


async def test_an_answer_cut_at_its_limit_is_the_sdks_own_error(client: Speaker) -> None:
    long = "one two three " * 12
    messages = user(f'From "{long}" to "{long}" in 12 years.')
    with pytest.raises(openai.LengthFinishReasonError):
        await client.parse(model="sandbox-json", messages=messages, response_format=Move, max_tokens=20)


async def test_a_schema_that_is_none_is_refused_by_name(client: Speaker) -> None:
    broken = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.create(model="sandbox-json", messages=user("Hello"), response_format=broken)
    assert str(caught.value.param).startswith("response_format")
