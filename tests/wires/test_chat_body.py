"""The body for Poe's chat completions: nothing but what Poe takes, and all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from service.errors import Failure, Kind
from service.prompt import Call, MediaPart, OutputFormat, Sampling, TextPart, Tool, Turn
from service.routing.model import Model
from service.wires.call_ids import mint
from service.wires.chat_body import encode
from tests.wires.calls import asking, user

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def body(*turns: Turn, stream: bool = False, refused: frozenset[str] = frozenset(), **members: Any) -> dict[str, Any]:
    parameters = members.pop("parameters", {})
    call = replace(asking(*turns, name="Model", **members), parameters=parameters)
    written: dict[str, Any] = orjson.loads(encode(call, stream=stream, opaque=lambda _: None, refused=refused))
    return written


def messages(*turns: Turn) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(*turns)["messages"]
    return found


def test_a_bare_prompt_is_a_bare_body() -> None:
    assert body() == {"model": "Model", "messages": [{"role": "user", "content": "hi"}]}


def test_a_stream_asks_for_its_usage_unless_that_is_refused() -> None:
    assert body(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(stream=True, refused=frozenset({"stream_options"}))


def test_limits_and_sampling_go_along() -> None:
    found = body(max_tokens=5, stop=("a", "b"), sampling=Sampling(0.0, 1.0, True, 3), parameters={"aspect": "1:1"})
    del found["messages"]
    assert found == {
        "model": "Model",
        "max_tokens": 5,
        "stop": ["a", "b"],
        "temperature": 0.0,
        "top_p": 1.0,
        "logprobs": True,
        "top_logprobs": 3,
        "aspect": "1:1",
    }


def test_stop_sequences_of_blanks_stay_here() -> None:
    assert body(stop=("\n", "a "))["stop"] == ["a "]
    assert "stop" not in body(stop=(" ",))


def test_a_limit_goes_by_the_name_that_the_model_takes() -> None:
    assert body(max_tokens=5, refused=frozenset({"max_tokens"}))["max_completion_tokens"] == 5
    assert (
        not {"max_tokens", "max_completion_tokens"}
        & body(max_tokens=5, refused=frozenset({"max_tokens", "max_completion_tokens"})).keys()
    )


def test_what_a_model_refuses_is_left_out_and_told_where_it_is_missed() -> None:
    dropped: list[str] = []
    call = asking(name="Model", stop=("a",), sampling=Sampling(temperature=1.0))
    refused = frozenset({"temperature", "stop", "top_p", "stream_options"})
    written = encode(replace(call, drop=dropped.append), stream=True, opaque=lambda _: None, refused=refused)
    assert orjson.loads(written).keys() == {"model", "messages", "stream"}
    assert dropped == ["temperature"]


def test_tools_that_a_model_refuses_cannot_be_sent() -> None:
    with pytest.raises(Failure) as caught:
        body(tools=(Tool("f"),), refused=frozenset({"tools"}))
    assert caught.value.kind is Kind.UNSENDABLE


def test_tools_go_as_they_were_written() -> None:
    schema = {"type": "object", "properties": {"x": {"maximum": 10**30}}, "additionalProperties": False}
    found = body(tools=(Tool("f", "d", schema, True), Tool("g")), parallel_tool_calls=False)
    function = found["tools"][0]["function"]
    assert (function["name"], function["description"], function["strict"]) == ("f", "d", True)
    assert function["parameters"] == {**schema, "properties": {"x": {"maximum": 1e30}}}
    assert found["tools"][1] == {"type": "function", "function": {"name": "g"}}
    assert found["parallel_tool_calls"] is False


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_choice_goes_along_with_tools_only(choice: Any) -> None:
    assert body(tools=(Tool("f"),), tool_choice=choice)["tool_choice"] == choice
    assert "tool_choice" not in body(tool_choice=choice)


def test_a_forced_tool_is_named() -> None:
    found = body(tools=(Tool("f"),), forced_tool="f")
    assert found["tool_choice"] == {"type": "function", "function": {"name": "f"}}


def test_a_format_is_asked_for_in_its_field_too() -> None:
    assert body(output_format=OutputFormat("json_object"))["response_format"] == {"type": "json_object"}
    found = body(output_format=OutputFormat("json_schema", "", {"type": "object"}))["response_format"]
    assert found == {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}


def test_content_is_a_string_where_it_is_one_text() -> None:
    found = messages(user(), user("a"), user("a", "b"), Turn("assistant"), Turn("system", (TextPart("s"),), name="n"))
    assert found == [
        {"role": "user", "content": ""},
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": ""},
        {"role": "system", "name": "n", "content": "s"},
    ]


def test_pictures_go_as_pictures() -> None:
    (message,) = messages(
        user(
            MediaPart("image", url="https://x.org/a.png", detail="low"),
            MediaPart("image", data=b"hi", media_type="image/gif"),
        )
    )
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,aGk="}},
    ]


@pytest.mark.parametrize("kind", ["file", "audio", "video"])
def test_everything_else_goes_as_a_file_with_its_data(kind: Any) -> None:
    """Sound as well: Poe strips `input_audio` without a word (poe.md 4.2)."""
    (message,) = messages(user(MediaPart(kind, url="data:x/y;base64,aGk=", name="n"), MediaPart(kind, data=b"hi")))
    assert message["content"] == [
        {"type": "file", "file": {"filename": "n", "file_data": "data:x/y;base64,aGk="}},
        {"type": "file", "file": {"filename": "file", "file_data": "data:application/octet-stream;base64,aGk="}},
    ]


def test_a_file_at_a_url_cannot_be_sent() -> None:
    with pytest.raises(Failure) as caught:
        body(user(MediaPart("file", url="https://x.org/a.pdf")))
    assert caught.value.kind is Kind.UNSENDABLE


def test_calls_and_results_go_by_the_upstreams_own_ids() -> None:
    ours = mint("getWeather:0")
    found = messages(
        Turn("assistant", calls=(Call(ours, "getWeather", "{}"), Call("foreign", "f", "{}"))),
        Turn("tool", (TextPart("a"), TextPart("b")), call_id=ours),
        Turn("tool", call_id="foreign", name="f"),
    )
    assert [call["id"] for call in found[0]["tool_calls"]] == ["getWeather:0", "foreign"]
    assert found[1:] == [
        {"role": "tool", "tool_call_id": "getWeather:0", "content": "ab"},
        {"role": "tool", "name": "f", "tool_call_id": "foreign", "content": ""},
    ]


def test_pictures_in_results_follow_the_results_of_their_round() -> None:
    picture = MediaPart("image", url=PIXEL)
    found = messages(
        Turn("assistant", calls=(Call("a", "f", "{}"), Call("b", "g", "{}"))),
        Turn("tool", (TextPart("see"), picture), call_id="a"),
        Turn("tool", (picture,), call_id="b"),
        user("and?"),
    )
    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user", "user"]
    assert [message["content"] for message in found[1:3]] == ["see", ""]
    assert found[3]["content"] == [{"type": "image_url", "image_url": {"url": PIXEL}}] * 2
    assert messages(*[Turn("tool", (picture,), call_id="a")])[-1]["role"] == "user"


def test_a_lost_signature_is_told_to_a_model_that_wants_one_on_the_first_call_of_a_turn_alone() -> None:
    known: Mapping[str, Any] = {"google": {"thought_signature": "a2VwdA=="}}
    turns = (
        Turn("assistant", calls=(Call("lost", "f", "{}"), Call("beside", "f", "{}"))),
        Turn("assistant", calls=(Call("known", "f", "{}"), Call("next", "f", "{}"))),
    )

    def extras(model: Model | None) -> list[list[Any]]:
        written = encode(asking(*turns, model=model), stream=False, opaque={"known": known}.get, refused=frozenset())
        found = orjson.loads(written)["messages"]
        return [[call.get("extra_content") for call in message["tool_calls"]] for message in found]

    skipped = {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert extras(Model("m", "m", signatures=True)) == [[skipped, None], [known, None]]
    assert extras(Model("m", "m")) == extras(None) == [[None, None], [known, None]]


def test_what_a_provider_wants_back_is_the_callers_else_ours() -> None:
    kept: Mapping[str, Any] = {"google": {"thought_signature": "a2VwdA=="}}
    given: Mapping[str, Any] = {"google": {"thought_signature": "Z2l2ZW4="}}
    call = asking(Turn("assistant", calls=(Call("x", "f", "{}"), Call("y", "f", "{}", given), Call("z", "f", "{}"))))
    written = encode(call, stream=False, opaque={"x": kept, "y": kept}.get, refused=frozenset())
    calls = orjson.loads(written)["messages"][0]["tool_calls"]
    assert [each.get("extra_content") for each in calls] == [kept, given, None]
