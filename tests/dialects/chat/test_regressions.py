"""Faults that other gateways shipped, one test for each that chat completions can have.

From the fix log of a live gateway. Three of them are proven elsewhere and more thoroughly: that a caller who leaves is
no failure, that a refusal of the request itself rests no key, and that a limit of one model rests no other (keys,
gateway). Not of this dialect: empty lists in finished text items, `response.incomplete`, shared rests of compact calls,
affinity over variants of one model. A history that begins with the model gets no empty turn before it: that is needed
where a provider's own protocol is spoken, and both of Poe's take such a history as it is.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from service.dialects.chat.encode import KEEPALIVE
from tests.contract.replies import events_of
from tests.dialects.chat.conftest import Talk
from tests.dialects.chat.fates import results, turns
from tests.dialects.chat.folding import chunks_of, folded, plain

WIRES = ("chat", "bot")
PNG = "data:image/png;base64,iVBORw0KGgo="
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CONDITIONAL = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "size": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/size"}]}},
    "required": ["kind"],
    "additionalProperties": False,
    "if": {"properties": {"kind": {"const": "a"}}},
    "then": {"required": ["size"]},
    "$defs": {"size": {"type": "string", "pattern": "^[0-9]+$"}},
}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def calling(call_id: str) -> dict[str, Any]:
    call = {"id": call_id, "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def body(*messages: dict[str, Any], model: str = "sandbox-tools", **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": list(messages), **members}


def result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_a_sign_of_life_is_a_comment_and_no_event() -> None:
    assert KEEPALIVE.startswith(b":")
    assert events_of(KEEPALIVE) == []


@pytest.mark.parametrize("wire", WIRES)
def test_both_names_of_the_limit_together(talk: Talk, wire: str) -> None:
    assert talk.ask(body(user("x"), max_tokens=50, max_completion_tokens=60), wire).status_code == 200


def test_stop_goes_up_as_a_list(talk: Talk) -> None:
    talk.ask(body(user("x"), stop="END"), "chat")
    assert talk.sent["stop"] == ["END"]


@pytest.mark.parametrize("wire", WIRES)
def test_a_result_that_is_sent_twice_arrives_once(talk: Talk, wire: str) -> None:
    reply = talk.ask(body(user("a"), calling("c1"), result("c1", "1"), result("c1", "1"), tools=[LOOK]), wire)
    assert reply.status_code == 200
    assert [each["content"] for each in results(talk.sent)] == ["1"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("tools", [None, []])
def test_a_choice_goes_when_its_tools_are_gone(talk: Talk, wire: str, tools: Any) -> None:
    reply = talk.ask(body(user("x"), tools=tools, tool_choice="required", parallel_tool_calls=True), wire)
    assert reply.status_code == 200
    assert not {"tool_choice", "parallel_tool_calls"} & talk.sent.keys()


@pytest.mark.parametrize("wire", WIRES)
def test_results_come_first_after_their_calls(talk: Talk, wire: str) -> None:
    talk.ask(body(user("a"), calling("c1"), user("meanwhile"), result("c1", "1"), tools=[LOOK]), wire)
    assert [turn["role"] for turn in turns(talk.sent)][-2:] == ["tool", "user"]


@pytest.mark.parametrize("wire", WIRES)
def test_ids_of_calls_are_unique_and_lead_back_on_any_machine(talk: Talk, wire: str) -> None:
    asked = body(user("look"), tools=[LOOK], model="sandbox-kimi-k2.5")
    found = [talk.ask(asked, wire).json()["choices"][0]["message"]["tool_calls"][0]["id"] for _ in range(5)]
    assert len(set(found)) == 5
    # Nothing but the id itself is needed to find the upstream's: no memory of this process.
    talk.ask(body(user("look"), calling(found[0]), result(found[0], "1"), tools=[LOOK]), wire)
    assert [each["tool_call_id"] for each in results(talk.sent)] == ["look:0"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [False, True])
def test_details_of_token_counts_are_always_there(talk: Talk, wire: str, stream: bool) -> None:
    reply = talk.ask(body(user("x"), stream=stream, stream_options={"include_usage": True}), wire)
    usage = (folded(reply.content) if stream else reply.json())["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "code"),
    [("user_message_too_long", "context_length_exceeded"), ("privacy_authorization_error", None), ("moderation", None)],
)
def test_an_error_before_any_data_keeps_its_meaning(
    talk: Talk, name: str, code: str | None, stream: bool, wire: str
) -> None:
    reply = talk.ask(body(user(f"fail: error {name}"), model="sandbox-failing", stream=stream), wire)
    assert reply.status_code == 400
    if code is not None:
        assert reply.json()["error"]["code"] == code


def test_thoughts_are_read_under_the_other_name(talk: Talk) -> None:
    """The strict shape of a provider has `reasoning_content` alone."""
    asked = body(user("x"), model="sandbox-claude-4.6", reasoning_effort="high")
    for stream in (False, True):
        reply = talk.ask({**asked, "stream": stream}, "chat")
        message = plain(folded(reply.content) if stream else reply.json())["message"]
        assert message["reasoning"] == message["reasoning_content"] != ""


@pytest.mark.parametrize("wire", WIRES)
def test_pictures_in_a_result_stay_next_to_their_call(talk: Talk, wire: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": PNG}}
    seen = result("c1", [{"type": "text", "text": "seen"}, picture])
    reply = talk.ask(body(user("a"), calling("c1"), seen, user("and now?"), tools=[LOOK]), wire)
    assert reply.status_code == 200
    found = turns(talk.sent)
    assert [turn["role"] for turn in found][-3:] == ["tool", "user", "user"]
    holder = found[-2]
    assert len(holder["attachments"] if wire == "bot" else holder["content"]) == 1


@pytest.mark.parametrize("wire", WIRES)
def test_a_history_may_begin_with_the_model(talk: Talk, wire: str) -> None:
    reply = talk.ask(body({"role": "assistant", "content": "Welcome."}, user("x"), model="sandbox-echo"), wire)
    assert reply.json()["choices"][0]["message"]["content"] == "x"


@pytest.mark.parametrize("wire", WIRES)
def test_schemas_of_tools_arrive_as_they_were_written(talk: Talk, wire: str) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": CONDITIONAL}}
    talk.ask(body(user("x"), tools=[tool]), wire)
    assert talk.sent["tools"][0]["function"]["parameters"] == CONDITIONAL


@pytest.mark.parametrize("wire", WIRES)
def test_an_agents_first_request_is_answered(talk: Talk, wire: str) -> None:
    """As opencode, Cline and Roo send it: everything at once, much of it unknown to Poe."""
    asked = body(
        {"role": "system", "content": [{"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "developer", "content": "Be brief."},
        user([{"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}}]),
        model="sandbox-gpt-5.2",
        tools=[LOOK],
        tool_choice="auto",
        parallel_tool_calls=False,
        reasoning_effort="medium",
        max_tokens=32000,
        max_completion_tokens=32000,
        temperature=0,
        top_p=1,
        presence_penalty=0,
        frequency_penalty=0,
        stream=True,
        stream_options={"include_usage": True},
        prompt_cache_key="session",
        user="ann",
        metadata={"session": "1"},
        store=False,
        provider={"order": ["x"]},
        usage={"include": True},
    )
    reply = talk.ask(asked, wire)
    assert reply.status_code == 200
    found = chunks_of(reply.content)
    assert found[-1]["usage"]["total_tokens"] > 0
    assert folded(reply.content)["choices"][0]["finish_reason"] == "tool_calls"
    assert not [word for word in ("session", "ephemeral", "ann") if word in orjson.dumps(talk.sent).decode()]
