"""The body of a bot query: fastapi_poe's server half reads it, and everything in the prompt has its place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fastapi_poe.types import QueryRequest
from hypothesis import given
from hypothesis import strategies as st

from service.prompt import Call, MediaPart, Sampling, TextPart, Tool, Turn
from service.routing.model import Model
from service.wires.bot_request import Attachment, encode
from service.wires.call import UpstreamCall
from service.wires.call_ids import mint
from tests.wires.calls import asking, user

WEATHER = Tool(
    "weather", "Tells it", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
CLOCK = Tool("clock")


def sent(call: UpstreamCall, attachments: dict[int, Attachment] | None = None) -> dict[str, Any]:
    body = encode(call, attachments or {}, lambda _: None)
    QueryRequest.model_validate_json(body)
    found: dict[str, Any] = json.loads(body)
    return found


def messages(*turns: Turn, **members: Any) -> list[tuple[str, str]]:
    return [(each["role"], each["content"]) for each in sent(asking(*turns, **members))["query"]]


def system(words: str) -> Turn:
    return Turn("system", (TextPart(words),))


def test_every_field_of_the_protocol_is_sent() -> None:
    assert sent(asking()).keys() == {*QueryRequest.model_fields}


def test_the_key_is_in_no_body() -> None:
    call = asking()
    assert call.secret not in json.dumps(sent(call))


def test_roles_and_texts_have_their_places() -> None:
    turns = [system("Be kind."), user("Hi ", "there"), Turn("assistant", (TextPart("Hello"),)), user("你好 🦉")]
    assert messages(*turns) == [("system", "Be kind."), ("user", "Hi there"), ("bot", "Hello"), ("user", "你好 🦉")]


def test_an_authors_name_is_the_senders() -> None:
    assert sent(asking(Turn("user", (TextPart("x"),), name="ann")))["query"][0]["sender"] == {"id": None, "name": "ann"}


def test_sampling_and_stop_are_passed_and_what_bots_do_not_know_is_told() -> None:
    told: list[str] = []
    call = asking(sampling=Sampling(temperature=0.0, top_p=0.5, logprobs=False), stop=("a", "b"))
    found = sent(replace(call, notice=told.append))
    assert (found["temperature"], found["stop_sequences"]) == (0.0, ["a", "b"])
    assert told == ["top_p: bots know no such option"]
    found = sent(replace(call, refused=frozenset({"temperature", "stop"})))
    assert (found["temperature"], found["stop_sequences"]) == (None, [])


def test_parameters_are_put_on_the_last_message_of_the_user() -> None:
    call = asking(user("a"), user("b"), Turn("assistant", (TextPart("c"),)))
    query = sent(replace(call, parameters={"aspect": "1:1"}))["query"]
    assert [message.get("parameters") for message in query] == [None, {"aspect": "1:1"}, None]
    query = sent(replace(asking(system("x")), parameters={"a": 1}))["query"]
    assert query[-1]["parameters"] == {"a": 1}


def test_a_tool_loop_becomes_messages_of_calls_and_results() -> None:
    first, second, third = mint("weather:0"), mint("toolu_1"), "call_foreign"
    turns = (
        user("Weather and time?"),
        Turn(
            "assistant",
            (TextPart("I look."),),
            (
                Call(first, "weather", '{"city": "Ulm"}'),
                Call(second, "clock", "{}", {"google": {"thought_signature": "s"}}),
            ),
        ),
        Turn("tool", (TextPart("rain"),), call_id=first),
        Turn("tool", (TextPart("noon"),), call_id=second),
        Turn("assistant", (), (Call(third, "clock", "{}"),)),
        Turn("tool", (TextPart("one"),), call_id=third),
    )
    query = sent(asking(*turns, tools=(WEATHER, CLOCK)))["query"]
    assert [(m["role"], m.get("message_type")) for m in query] == [
        ("user", None),
        ("bot", None),
        ("bot", "function_call"),
        ("tool", None),
        ("bot", "function_call"),
        ("tool", None),
    ]
    assert json.loads(query[2]["content"]) == [
        {"id": "weather:0", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}},
        {
            "id": "toolu_1",
            "type": "function",
            "function": {"name": "clock", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "s"}},
        },
    ]
    assert json.loads(query[3]["content"]) == [
        {"role": "tool", "name": "weather", "tool_call_id": "weather:0", "content": "rain"},
        {"role": "tool", "name": "clock", "tool_call_id": "toolu_1", "content": "noon"},
    ]
    assert json.loads(query[5]["content"])[0]["tool_call_id"] == "call_foreign"


def test_what_a_provider_wants_echoed_is_looked_up_where_the_caller_dropped_it() -> None:
    call = asking(
        user("x"), Turn("assistant", (), (Call("call_1", "clock", "{}"),)), Turn("tool", (), call_id="call_1")
    )
    query = json.loads(encode(call, {}, {"call_1": {"sig": 1}}.get))["query"]
    assert json.loads(query[1]["content"])[0]["extra_content"] == {"sig": 1}


def test_a_lost_signature_is_told_to_a_model_that_wants_one() -> None:
    turns = (user("x"), Turn("assistant", (), (Call("a", "clock", "{}"), Call("b", "clock", "{}"))))

    def extras(model: Model) -> list[Any]:
        query = sent(asking(*turns, model=model))["query"]
        return [call.get("extra_content") for call in json.loads(query[1]["content"])]

    skipped = {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert extras(Model("m", "m", signatures=True)) == [skipped, None]
    assert extras(Model("m", "m")) == [None, None]


def test_media_are_attached_to_their_message_and_a_results_to_one_after_it() -> None:
    picture, scan = MediaPart("image", url="https://x/a.png"), MediaPart("file", data=b"x", name="b.pdf")
    turns = (
        user("What is this?", picture),
        Turn("assistant", (), (Call("call_1", "clock", "{}"),)),
        Turn("tool", (TextPart("a scan"), scan), call_id="call_1"),
    )
    uploaded = {
        id(picture): Attachment("https://u/1", "image/png", "a.png"),
        id(scan): Attachment("https://u/2", "a/b", "b"),
    }
    query = sent(asking(*turns), uploaded)["query"]
    assert [message.get("attachments") for message in query] == [
        [{"url": "https://u/1", "content_type": "image/png", "name": "a.png"}],
        None,
        None,
        [{"url": "https://u/2", "content_type": "a/b", "name": "b"}],
    ]
    assert (query[0]["content"], query[3]["role"]) == ("What is this?", "user")


def test_tools_are_sent_as_functions_with_all_of_their_schema() -> None:
    schema = {"$defs": {"a": {}}, "type": "object", "properties": {}, "additionalProperties": False}
    found = sent(asking(tools=(WEATHER, CLOCK, Tool("deep", None, schema))))["tools"]
    assert [each["function"]["name"] for each in found] == ["weather", "clock", "deep"]
    assert found[0]["function"]["parameters"] == WEATHER.parameters
    assert found[1]["function"] == {
        "name": "clock",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    }
    assert found[2]["function"]["parameters"] == schema


@pytest.mark.parametrize(
    "schema", [{"type": ["object", "null"]}, {"properties": None}, {"required": "all"}, {"type": None}]
)
def test_a_schema_that_the_protocol_cannot_hold_is_made_one(schema: dict[str, Any]) -> None:
    assert sent(asking(tools=(Tool("t", "", schema),)))["tools"][0]["function"]["parameters"]["type"] == "object"


def test_tool_choice_is_emulated() -> None:
    def offered(**members: Any) -> tuple[list[str], list[str]]:
        told: list[str] = []
        found = sent(replace(asking(user("x"), tools=(WEATHER, CLOCK), **members), notice=told.append))
        return [tool["function"]["name"] for tool in found["tools"] or []], told

    assert offered() == (["weather", "clock"], [])
    assert offered(tool_choice="auto") == (["weather", "clock"], [])
    assert offered(tool_choice="none") == ([], [])
    assert offered(forced_tool="clock")[0] == ["clock"]
    assert offered(tool_choice="required")[0] == ["weather", "clock"]
    for members in ({"forced_tool": "clock"}, {"tool_choice": "required"}, {"parallel_tool_calls": False}):
        assert offered(**members)[1] == ["tool_choice, parallel_tool_calls: asked of the bot in words"]


def test_what_is_asked_in_words_joins_the_system_message() -> None:
    forced = {"tools": (CLOCK,), "forced_tool": "clock"}
    assert messages(user("x"), **forced) == [
        ("system", "Call the function clock now. Do not answer with text."),
        ("user", "x"),
    ]
    assert messages(system("Be kind."), user("x"), **forced)[0] == (
        "system",
        "Be kind.\n\nCall the function clock now. Do not answer with text.",
    )


PARTS = st.builds(TextPart, st.text(st.characters(exclude_categories=["Cs"])))
CALLS = st.builds(Call, st.text("abc_-:", max_size=8), st.text("ab", min_size=1), st.text("{}", max_size=4))
TURNS = st.builds(
    Turn,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(PARTS, max_size=3).map(tuple),
    st.lists(CALLS, max_size=2).map(tuple),
    st.text("abc_-:", max_size=8),
)


@given(st.lists(TURNS, max_size=6))
def test_whatever_the_history_the_server_half_takes_it_and_no_text_is_lost(turns: list[Turn]) -> None:
    turns = [turn if turn.role == "assistant" else replace(turn, calls=()) for turn in turns]
    query = sent(asking(user(""), *turns))["query"]
    told = json.dumps(json.loads(json.dumps(query)), ensure_ascii=False)
    for turn in turns:
        in_json = json.dumps(turn.text, ensure_ascii=False)[1:-1]
        assert in_json in told or json.dumps(in_json, ensure_ascii=False)[1:-1] in told
