"""Whole answers and deltas of chat completions, with the habits of those who write them."""

from __future__ import annotations

from typing import Any

import pytest

from service.errors import Failure, Kind
from service.events import Event, Extra, File, Finish, Reasoning, Text, ToolCall, Usage, read
from service.wires.call_ids import original
from service.wires.chat_answer import MAX_CALLS, Calls, media_events, message_events, usage_of, whole_answer


def answer(reason: Any = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}],
        "usage": usage,
    }


def call(name: str | None = "look", arguments: Any = "{}", call_id: Any = "c", **members: Any) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **members}


def delta(*fragments: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": list(fragments)}


def streamed(*deltas: dict[str, Any]) -> tuple[list[tuple[str, str, str]], list[Event]]:
    """The calls of a stream, folded (name, arguments, the upstream's id), and the events."""
    calls = Calls()
    events = [event for each in deltas for event in message_events(each, calls)]
    calls.check()
    folded: dict[int, list[ToolCall]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            folded.setdefault(event.index, []).append(event)
    assert list(folded) == sorted(folded), "calls open in order"
    found = []
    for each in folded.values():
        assert [event.name is not None for event in each] == [True] + [False] * (len(each) - 1)
        arguments = "".join([event.arguments for event in each])
        found.append((str(each[0].name), arguments, original(each[0].id)))
    assert len({event.id for event in events if isinstance(event, ToolCall)}) == len(folded), "ids are unique"
    return found, events


def whole(payload: Any, *, media: bool = False) -> list[Event]:
    return whole_answer(payload, media=media)


def test_an_answer_reads_in_the_order_of_a_person() -> None:
    found = whole(answer(content="Hi.", reasoning_content="Hm.", reasoning="Hm.", tool_calls=[call()]))
    assert [type(event) for event in found] == [Reasoning, Text, ToolCall, Finish]
    assert found[-1] == Finish("tool_calls")


def test_thoughts_are_found_under_either_name() -> None:
    assert whole(answer(content="a", reasoning="Hm."))[0] == Reasoning((b"Hm.",))
    assert whole(answer(content="a", reasoning_content="", reasoning="Hm."))[0] == Reasoning((b"Hm.",))
    assert whole(answer(content="a", reasoning_content=None, reasoning=None))[0] == Text((b"a",))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"choices": 1},
    ],
)
def test_what_is_no_answer_has_broken(payload: Any) -> None:
    with pytest.raises(Failure) as caught:
        whole(payload)
    assert caught.value.kind is Kind.BROKEN


@pytest.mark.parametrize(
    "message",
    [
        {"content": ""},
        {"content": None},
        {},
        {"content": []},
        {"content": None, "provider_specific_fields": {"citations": ["x"]}},
    ],
)
@pytest.mark.parametrize("reason", ["stop", "tool_calls", None])
def test_nothing_and_a_stop_is_a_failure(message: dict[str, Any], reason: str | None) -> None:
    with pytest.raises(Failure) as caught:
        whole(answer(reason, **message))
    assert caught.value.kind is Kind.EMPTY


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_nothing_and_a_limit_is_an_answer(reason: str) -> None:
    assert whole(answer(reason, content="")) == [Finish(reason)]  # type: ignore[arg-type]


def test_a_refusal_is_an_answer() -> None:
    assert whole(answer(content=None, refusal="No.")) == [Extra({"refusal": "No."}), Finish("stop")]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("safety", "content_filter"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
        ("never_heard_of", "stop"),
        (7, "stop"),
    ],
)
def test_reasons_are_said_in_four_words_and_none_promises_calls_that_are_not_there(word: Any, meant: str) -> None:
    assert whole(answer(word, content="a"))[-1] == Finish(meant)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["error", "ERROR", "malformed_function_call"])
def test_a_reason_that_is_a_failure_is_one(word: str) -> None:
    with pytest.raises(Failure) as caught:
        whole(answer(word, content="half of"))
    assert caught.value.kind is Kind.CUT


@pytest.mark.parametrize("word", ["stop", "tool_calls", None])
def test_an_answer_with_calls_waits_for_results(word: str | None) -> None:
    assert whole(answer(word, content="", tool_calls=[call()]))[-1] == Finish("tool_calls")


def test_content_in_parts_is_text_and_pictures() -> None:
    parts = [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
        {"type": "unheard_of"},
        "x",
    ]
    found = whole(answer(content=parts))
    assert found[:-1] == [Text((b"See",)), File("https://x.org/a.png", "image/*")]


def test_members_that_have_no_name_here_are_kept() -> None:
    citations = [{"type": "url_citation"}]
    provider = {"citations": ["x"], "thinking_blocks": None}
    found = whole(answer(content="a", annotations=citations, audio=None, provider_specific_fields=provider))
    assert Extra({"annotations": citations, "provider_specific_fields": {"citations": ["x"]}}) in found


def test_calls_of_a_whole_answer_are_each_their_own() -> None:
    same = [call("look", '{"a": 1}', "x"), call("look", '{"a": 2}', "x"), call("hear", {"b": 3}, None, index=0)]
    found = [event for event in whole(answer(tool_calls=same)) if isinstance(event, ToolCall)]
    assert [(each.index, each.name, each.arguments) for each in found] == [
        (0, "look", '{"a": 1}'),
        (1, "look", '{"a": 2}'),
        (2, "hear", '{"b":3}'),
    ]
    assert len({each.id for each in found}) == 3
    assert [original(each.id) for each in found[:2]] == ["x", "x"]


def test_fragments_belong_to_the_call_of_their_index() -> None:
    found, _ = streamed(
        delta(call("look", "", "a", index=0), call("hear", "", "b", index=1)),
        delta({"index": 1, "function": {"arguments": '{"y":'}}),
        delta({"index": 0, "function": {"arguments": "{}"}}),
        delta({"index": 1, "function": {"arguments": "1}"}}),
    )
    assert found == [("look", "{}", "a"), ("hear", '{"y":1}', "b")]


def test_fragments_without_an_index_belong_to_their_id_or_to_the_last_call() -> None:
    found, _ = streamed(
        delta(call("look", "{", "a")),
        delta({"function": {"arguments": "}"}}),
        delta(call("hear", "{", "b")),
        delta({"id": "b", "function": {"arguments": "}"}}),
    )
    assert found == [("look", "{}", "a"), ("hear", "{}", "b")]


def test_whole_calls_that_all_claim_the_first_place_are_told_apart() -> None:
    by_id, _ = streamed(*[delta(call("look", "{}", call_id, index=0)) for call_id in "abc"])
    assert by_id == [("look", "{}", "a"), ("look", "{}", "b"), ("look", "{}", "c")]
    by_name, _ = streamed(
        *[delta({"index": 0, "function": {"name": name, "arguments": "{}"}}) for name in ("f", "g", "g")]
    )
    assert [name for name, _, _ in by_name] == ["f", "g", "g"]
    nameless, _ = streamed(*[delta({"function": {"name": name, "arguments": "{}"}}) for name in ("f", "g", "g")])
    assert [name for name, _, _ in nameless] == ["f", "g", "g"]


def test_an_id_and_a_name_may_come_with_every_fragment() -> None:
    found, _ = streamed(*[delta(call("look", piece, "a", index=0)) for piece in ("{", '"x":1', "}", "")])
    assert found == [("look", '{"x":1}', "a")]
    found, _ = streamed(*[delta({"index": 0, "function": {"name": "look", "arguments": p}}) for p in ("{", "}", "")])
    assert [(name, arguments) for name, arguments, _ in found] == [("look", "{}")]


def test_a_call_is_told_once_its_name_is_known() -> None:
    found, events = streamed(
        delta({"index": 0, "id": "a", "function": {"arguments": '{"x"'}}),
        delta({"index": 0, "function": {"name": "look", "arguments": ":1}"}}),
    )
    assert found == [("look", '{"x":1}', "a")]
    assert len(events) == 1


def test_a_character_that_was_cut_in_half_is_whole_again() -> None:
    found, _ = streamed(
        delta(call("look", '"\ud83d', "a", index=0)),
        delta({"index": 0, "function": {"arguments": '\ude42"'}}),
    )
    assert found == [("look", '"🙂"', "a")]
    lone, _ = streamed(delta(call("look", '"\ude42x"', "a")))
    assert lone[0][1] == '"\ufffdx"'


def test_what_a_provider_wants_back_is_told_once() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    _, events = streamed(
        delta(call("look", "{", "a", index=0, extra_content=extra)),
        delta({"index": 0, "function": {"arguments": "}"}, "extra_content": extra}),
    )
    assert [event.opaque for event in events if isinstance(event, ToolCall)] == [extra, None]


@pytest.mark.parametrize("fragment", [call(arguments='{"x": '), call(name=None), call(name="")])
def test_a_call_that_is_not_whole_is_cut(fragment: dict[str, Any]) -> None:
    with pytest.raises(Failure) as caught:
        whole(answer("tool_calls", tool_calls=[fragment]))
    assert caught.value.kind is Kind.CUT


def test_the_last_call_of_an_answer_that_reached_its_limit_may_be_cut() -> None:
    found = whole(answer("length", tool_calls=[call(), call("hear", '{"x": ', "d")]))
    assert found[-1] == Finish("length")
    with pytest.raises(Failure):
        whole(answer("length", tool_calls=[call("hear", '{"x": ', "d"), call()]))


def test_calls_without_end_are_a_fault() -> None:
    with pytest.raises(Failure) as caught:
        streamed(*[delta(call("f", "{}", str(number))) for number in range(MAX_CALLS + 1)])
    assert caught.value.kind is Kind.BROKEN


@pytest.mark.parametrize("junk", [None, 1, "x", [None, 1, "x", []], {"a": 1}])
def test_junk_in_place_of_calls_is_no_call(junk: Any) -> None:
    assert message_events({"tool_calls": junk, "content": 7, "reasoning": 7}, Calls()) == []


@pytest.mark.parametrize(
    "fragment",
    [
        {"function": None},
        {"function": {"name": 1, "arguments": 2}},
        {"id": 7, "index": "x", "extra_content": "x"},
        {"index": True},
    ],
)
def test_junk_in_a_fragment_does_no_harm(fragment: dict[str, Any]) -> None:
    assert message_events(delta(fragment), Calls()) == []


@pytest.mark.parametrize(
    "member",
    [
        None,
        [],
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": "1", "completion_tokens": 2},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": 1.5, "completion_tokens": 2},
    ],
)
def test_counts_that_are_none_are_not_taken(member: Any) -> None:
    assert usage_of(member) is None


def test_counts_are_read_with_their_details() -> None:
    member = {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": None},
    }
    assert usage_of(member) == Usage(1, 2, reasoning_tokens=0, cached_tokens=3, reported=member)


HTTPS = "https://pfst.cf2.poecdn.net/base/image/ab?w=1&h=2"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"![a cat]({HTTPS})\n\n\n{HTTPS}", ["a cat"]),
        (f"\n![a [b] c]({HTTPS})", ["a [b] c"]),
        (f"![1]({HTTPS})\n{HTTPS}\n![2]({HTTPS})", ["1", "2"]),
        (f"{HTTPS}\n", [""]),
    ],
)
def test_links_of_media_bots_are_their_files(text: str, names: list[str]) -> None:
    found = media_events(text)
    assert [(each.url, each.name) for each in found if isinstance(each, File)] == [(HTTPS, name) for name in names]
    assert len(found) == len(names)


@pytest.mark.parametrize(
    "text", ["I cannot draw.", f"Here: ![a]({HTTPS})", f"![a]({HTTPS}) enjoy", "![a](b)", f"see {HTTPS}"]
)
def test_words_of_media_bots_stay_words(text: str) -> None:
    (found,) = media_events(text)
    assert isinstance(found, Text)
    assert read(found.pieces) == text


def test_only_media_bots_are_read_for_links() -> None:
    payload = answer(content=f"![a]({HTTPS})\n\n{HTTPS}")
    assert [type(event) for event in whole(payload)] == [Text, Finish]
    assert [type(event) for event in whole(payload, media=True)] == [File, Finish]
