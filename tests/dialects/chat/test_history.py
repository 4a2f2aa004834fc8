"""Conversations as programs resend them come out in the order that every provider takes, and nothing is lost."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.contract.models import ChatCompletionRequest
from service.dialects.chat.history import NO_RESULT, ORPHANED, turns_of
from service.prompt import MediaPart, TextPart, Turn

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    return turns_of(ChatCompletionRequest.model_validate({"model": "m", "messages": list(messages)}).messages)


def user(text: str = "go on") -> dict[str, Any]:
    return {"role": "user", "content": text}


def calling(*ids: str, text: str | None = None) -> dict[str, Any]:
    calls = [{"id": each, "type": "function", "function": {"name": f"f_{each}", "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": text, "tool_calls": calls}


def result(call_id: str, content: Any = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def told(found: tuple[Turn, ...]) -> list[str]:
    """Each turn in a word: its role, and for a result the call and the text."""
    return [f"{turn.call_id}={turn.text}" if turn.role == "tool" else turn.role for turn in found]


def test_a_plain_conversation_stays_as_it_is() -> None:
    found = turns({"role": "system", "content": "s"}, user("u"), {"role": "assistant", "content": "a"}, user("v"))
    assert [(turn.role, turn.text) for turn in found] == [
        ("system", "s"),
        ("user", "u"),
        ("assistant", "a"),
        ("user", "v"),
    ]


def test_a_developer_is_a_system() -> None:
    assert turns({"role": "developer", "content": "d", "name": "n"})[0] == Turn("system", (TextPart("d"),), name="n")


def test_content_may_be_a_string_null_empty_or_parts() -> None:
    found = turns(
        {"role": "user", "content": ""},
        {"role": "user", "content": None},
        {"role": "user", "content": []},
        {"role": "assistant"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    )
    assert [turn.parts for turn in found] == [(), (), (), (), (TextPart("a"), TextPart("b"))]


def test_what_the_model_refused_stays_said() -> None:
    found = turns(
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
    )
    assert [turn.text for turn in found] == ["No.", "Never."]


def test_results_stand_right_behind_their_calls_in_the_order_of_the_calls() -> None:
    found = turns(user(), calling("a", "b"), user("meanwhile"), result("b", "2"), result("a", "1"))
    assert told(found) == ["user", "assistant", "a=1", "b=2", "user"]


def test_of_several_results_the_first_counts() -> None:
    found = turns(calling("a"), result("a", "first"), result("a", "second"), user(), result("a", "third"))
    assert told(found) == ["assistant", "a=first", "user"]


def test_a_result_without_a_call_becomes_words_of_the_user() -> None:
    found = turns(user(), result("gone", [{"type": "text", "text": "42"}]), calling("a"), result("a"))
    assert told(found) == ["user", "user", "assistant", "a=done"]
    assert found[1].text == f"{ORPHANED}42"


def test_a_result_before_its_call_is_no_result_of_it() -> None:
    found = turns(result("a", "early"), calling("a"), result("a", "right"))
    assert told(found) == ["user", "assistant", "a=right"]


def test_an_interrupted_call_gets_a_word_that_there_is_no_result() -> None:
    found = turns(user(), calling("a", "b"), result("b"), user("never mind"))
    assert told(found) == ["user", "assistant", f"a={NO_RESULT}", "b=done", "user"]


def test_ids_that_repeat_in_every_turn_belong_to_the_nearest_call_before() -> None:
    found = turns(
        calling("getWeather:0"),
        result("getWeather:0", "one"),
        user(),
        calling("getWeather:0"),
        user("stop"),
        calling("getWeather:0"),
        result("getWeather:0", "three"),
    )
    assert told(found) == [
        "assistant",
        "getWeather:0=one",
        "user",
        "assistant",
        f"getWeather:0={NO_RESULT}",
        "user",
        "assistant",
        "getWeather:0=three",
    ]


def test_two_calls_of_one_turn_with_one_id_get_a_result_each() -> None:
    found = turns(calling("x", "x"), result("x", "1"), result("x", "2"), result("x", "3"))
    assert told(found) == ["assistant", "x=1", "x=2"]


def test_legacy_functions_become_calls_and_results() -> None:
    found = turns(
        user(),
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "a cat"},
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"again": 1}'}},
        {"role": "function", "name": "look", "content": "a dog"},
    )
    assert [turn.role for turn in found] == ["user", "assistant", "tool", "assistant", "tool"]
    calls = [call for turn in found for call in turn.calls]
    assert [(call.name, call.arguments) for call in calls] == [("look", "{}"), ("look", '{"again": 1}')]
    assert [turn.call_id for turn in found if turn.role == "tool"] == [call.id for call in calls]
    assert calls[0].id != calls[1].id
    assert [turn.text for turn in found if turn.role == "tool"] == ["a cat", "a dog"]


def test_a_legacy_result_without_a_call_becomes_words_too() -> None:
    assert told(turns({"role": "function", "name": "look", "content": "a cat"})) == ["user"]


def test_the_input_of_a_custom_tool_travels_inside_a_function() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": 'say "hi"\n'}}
    found = turns({"role": "assistant", "tool_calls": [call]}, result("c"))
    assert found[0].calls[0].arguments == r'{"input":"say \"hi\"\n"}'


def test_what_came_with_a_call_goes_back_with_it() -> None:
    call = calling("a")
    call["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "c2ln"}}
    assert turns(call, result("a"))[0].calls[0].opaque == {"google": {"thought_signature": "c2ln"}}


def test_pictures_in_a_result_stay_in_it() -> None:
    picture = {"type": "image_url", "image_url": {"url": PIXEL}}
    found = turns(calling("a"), result("a", [{"type": "text", "text": "see"}, picture]))
    assert found[1].parts == (TextPart("see"), MediaPart("image", url=PIXEL, media_type="image/png"))


def test_names_of_authors_are_kept_but_for_results() -> None:
    found = turns(
        {**user(), "name": "ann"},
        {**calling("a"), "name": "bot"},
        {**result("a"), "name": "f_a"},
        {**user(), "name": None},
    )
    assert [turn.name for turn in found] == ["ann", "bot", "", ""]


MESSAGES = st.lists(
    st.one_of(
        st.just(user()),
        st.lists(st.sampled_from("abc"), max_size=3).map(lambda ids: calling(*ids, text="t")),
        st.builds(result, st.sampled_from("abcd"), st.sampled_from(["1", "2"])),
    ),
    min_size=1,
    max_size=12,
)


@given(MESSAGES)
@settings(max_examples=300, deadline=None)
def test_whatever_is_sent_each_call_has_one_result_behind_it(messages: list[dict[str, Any]]) -> None:
    found = turns(*messages)
    expected: list[str] = []
    for turn in found:
        if turn.role == "tool":
            assert expected, "a result stands where none is due"
            assert turn.call_id == expected.pop(0)
        else:
            assert not expected, "a call has no result behind it"
            expected = [call.id for call in turn.calls]
    assert not expected
    kept = [turn for turn in found if turn.role != "tool" and not turn.text.startswith(ORPHANED)]
    assert [turn.role for turn in kept] == [message["role"] for message in messages if message["role"] != "tool"]


def test_a_hundred_thousand_repeated_results_are_read_in_a_moment() -> None:
    messages = [calling("a"), *[result("a") for _ in range(100_000)]]
    read = ChatCompletionRequest.model_validate({"model": "m", "messages": messages}).messages
    began = time.thread_time()
    assert len(turns_of(read)) == 2
    assert time.thread_time() - began < 5
