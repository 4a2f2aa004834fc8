"""openai's Python clients read whole and streamed answers, on both wires, with nothing missing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.speaker import Speaker

pytestmark = pytest.mark.anyio

POEM = 'The wörld is round,\n\tand "quoted" \\ twice 🌍.'
PICTURE = "data:image/png;base64,iVBORw0KGgo="
DOCUMENT = "data:application/pdf;base64,JVBERi0xLjQK"


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


async def test_a_whole_answer(client: Speaker) -> None:
    answer = await client.create(model="sandbox-echo", messages=user(POEM))
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", POEM, "stop")
    assert answer.model == "sandbox-echo"
    assert answer.id.startswith("chatcmpl-")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert min(usage.prompt_tokens, usage.completion_tokens) > 0


async def test_a_streamed_answer(client: Speaker) -> None:
    chunks = await client.chunks(model="sandbox-echo", messages=user(POEM))
    choices = [chunk.choices[0] for chunk in chunks]
    assert "".join(choice.delta.content or "" for choice in choices) == POEM
    assert [choice.delta.role for choice in choices] == ["assistant", *[None] * (len(choices) - 1)]
    assert [choice.finish_reason for choice in choices] == [*[None] * (len(choices) - 1), "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 3, "it came in pieces"
    assert all(chunk.usage is None for chunk in chunks)


async def test_usage_comes_last_where_it_was_asked_for(client: Speaker) -> None:
    chunks = await client.chunks(model="sandbox-echo", messages=user(POEM), stream_options={"include_usage": True})
    whole = await client.create(model="sandbox-echo", messages=user(POEM))
    *before, last = chunks
    assert last.choices == []
    assert last.usage == whole.usage
    assert all(chunk.usage is None for chunk in before)


async def test_the_sdk_adds_a_stream_up(client: Speaker) -> None:
    options = {"include_usage": True}
    events, completion = await client.accumulate(model="sandbox-echo", messages=user(POEM), stream_options=options)
    assert completion.choices[0].message.content == POEM
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens > 0
    deltas = [event for event in events if event.type == "content.delta"]
    assert "".join(event.delta for event in deltas) == deltas[-1].snapshot == POEM
    assert [event.content for event in events if event.type == "content.done"] == [POEM]


async def test_reasoning_has_its_own_member(client: Speaker) -> None:
    answer = await client.create(model="sandbox-reasoner", messages=user("one two three"))
    message = answer.choices[0].message
    assert message.content == "one two three"
    assert message.reasoning_content == message.reasoning
    assert message.reasoning_content.startswith("The user wrote 3 words.")
    _, completion = await client.accumulate(model="sandbox-reasoner", messages=user("one two three"))
    added = completion.choices[0].message
    assert (added.content, added.reasoning_content) == (message.content, message.reasoning_content)


async def test_every_role_and_both_shapes_of_content(client: Speaker) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "an answer"},
        {"role": "user", "content": [{"type": "text", "text": "second"}], "name": "ada"},
    ]
    answer = await client.create(model="sandbox-echo", messages=messages)
    assert answer.choices[0].message.content == "second"


async def test_files_reach_the_model(client: Speaker) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": DOCUMENT}},
    ]
    answer = await client.create(model="sandbox-vision", messages=user(parts))
    said = answer.choices[0].message.content
    assert "image/png" in said
    assert "paper.pdf" in said


async def test_an_answer_ends_at_its_limit(client: Speaker) -> None:
    paced = "speed: 100 " + "word " * 200
    answer = await client.create(model="sandbox-slow", messages=user(paced), max_completion_tokens=20)
    assert answer.choices[0].finish_reason == "length"
    assert 10 < len(answer.choices[0].message.content.split()) < 60


async def test_an_answer_stops_where_it_was_told(client: Speaker) -> None:
    answer = await client.create(model="sandbox-echo", messages=user("one two three"), stop=["two"])
    assert answer.choices[0].message.content == "one "
    assert answer.choices[0].finish_reason == "stop"


async def test_members_that_nobody_knows_do_no_harm(client: Speaker) -> None:
    answer = await client.create(
        model="sandbox-echo", messages=user("Hello"), seed=7, user="ada", metadata={"a": "b"}, extra_body={"new": [1]}
    )
    assert answer.choices[0].message.content == "Hello"


async def test_a_picture_comes_as_a_link(anywhere: Speaker) -> None:
    answer = await anywhere.create(model="sandbox-image", messages=user("A boat"))
    assert answer.choices[0].message.content.startswith("![")
    _, completion = await anywhere.accumulate(model="sandbox-image", messages=user("A boat"))
    assert completion.choices[0].message.content.startswith("![")
