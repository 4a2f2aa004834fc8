"""Answers as bytes: golden streams, and the proof that a stream and a whole answer say the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dialects.chat.encode import KEEPALIVE, StreamEncoder, WholeEncoder
from service.dialects.chat.options import Options
from service.errors import Refusal
from service.events import Event, Extra, File, Finish, FinishReason, Progress, Reasoning, Text, ToolCall, Usage, escape
from tests.contract.replies import assert_conforms, assert_stream_conforms
from tests.dialects.chat.folding import chunks_of, folded, plain

PLAIN = Options()
USAGE = Usage(3, 5, reasoning_tokens=1, cached_tokens=2)
URL = "https://pfst.cf2.poecdn.net/base/image/ab"


def text(*pieces: str) -> Text:
    return Text(tuple([escape(piece) for piece in pieces]))


def stream(events: Sequence[Event], options: Options = PLAIN) -> bytes:
    encoder = StreamEncoder("chatcmpl-1", "Model", 1700000000, options)
    return b"".join([encoder.feed([event]) for event in events])


def whole(events: Sequence[Event], options: Options = PLAIN) -> dict[str, Any]:
    encoder = WholeEncoder(options)
    encoder.feed(events)
    body = encoder.body("chatcmpl-1", "Model", 1700000000)
    assert_conforms("POST", "/v1/chat/completions", 200, "application/json", body)
    answer: dict[str, Any] = orjson.loads(body)
    return answer


def deltas(events: Sequence[Event], options: Options = PLAIN) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks_of(stream(events, options)) if chunk["choices"]]


def test_a_stream_of_text_is_this() -> None:
    head = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"Model",'
    middle = '"choices":[{"index":0,"delta":'
    end = ',"logprobs":null,"finish_reason":null}]}'
    expected = [
        f'{head}{middle}{{"role":"assistant","content":"","refusal":null}}{end}',
        f'{head}{middle}{{"content":"Hello"}}{end}',
        f'{head}{middle}{{"content":" \\"wörld\\"\\n"}}{end}',
        f'{head}{middle}{{}},"logprobs":null,"finish_reason":"stop"}}]}}',
        "[DONE]",
    ]
    written = stream([text("Hello", ' "wörld"\n'), Finish("stop", USAGE)]).decode()
    assert written == "".join([f"data: {data}\n\n" for data in expected])


def test_usage_comes_last_where_it_was_asked_for_and_is_null_before() -> None:
    found = chunks_of(stream([text("a"), Finish("stop", USAGE)], Options(include_usage=True)))
    assert [chunk["usage"] for chunk in found[:-1]] == [None] * 3
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] == 8
    assert all("usage" not in chunk for chunk in chunks_of(stream([text("a"), Finish("stop", USAGE)])))


def test_thoughts_have_both_names() -> None:
    found = deltas([Reasoning((b"Hm", b"m.")), text("A"), Finish("stop", USAGE)])
    assert found[1:3] == [
        {"reasoning_content": "Hm", "reasoning": "Hm"},
        {"reasoning_content": "m.", "reasoning": "m."},
    ]
    message = whole([Reasoning((b"Hm", b"m.")), text("A"), Finish("stop", USAGE)])["choices"][0]["message"]
    assert message["reasoning_content"] == message["reasoning"] == "Hmm."


def test_thoughts_can_be_hidden_wherever_they_stand() -> None:
    hidden = Options(hide_reasoning=True)
    provider = {"provider_specific_fields": {"thinking_blocks": [{"thinking": "Hm"}]}, "reasoning_details": ["Hm"]}
    events: list[Event] = [Reasoning((b"Hm",)), text("A"), Extra(provider), Finish("stop", USAGE)]
    assert b"Hm" not in stream(events, hidden)
    assert b"Hm" not in orjson.dumps(whole(events, hidden))
    assert b"Hm" in stream(events)


def test_a_tool_call_comes_with_index_id_and_name_and_then_in_pieces() -> None:
    opaque = {"google": {"thought_signature": "c2ln"}}
    events: list[Event] = [
        ToolCall(0, "call_a", "look", "", opaque),
        ToolCall(0, "call_a", None, '{"x":'),
        ToolCall(0, "call_a", None, "1}"),
        ToolCall(1, "call_b", "hear", "{}"),
        Finish("tool_calls", USAGE),
    ]
    found = [delta["tool_calls"][0] for delta in deltas(events) if "tool_calls" in delta]
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "look", "arguments": ""}}
    assert found[0] == {**first, "extra_content": opaque}
    assert found[1] == {"index": 0, "function": {"arguments": '{"x":'}}
    assert found[3]["index"] == 1
    message = whole(events)["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"x":1}'}


def test_callers_of_the_older_form_get_the_first_call_in_it() -> None:
    events: list[Event] = [
        ToolCall(0, "a", "look", "{"),
        ToolCall(0, "a", None, "}"),
        ToolCall(1, "b", "x", "{}"),
        Finish("tool_calls"),
    ]
    found = chunks_of(stream(events, Options(legacy_functions=True)))
    calls = [c["choices"][0]["delta"]["function_call"] for c in found if "function_call" in c["choices"][0]["delta"]]
    assert calls == [{"name": "look", "arguments": "{"}, {"arguments": "}"}]
    assert found[-1]["choices"][0]["finish_reason"] == "function_call"
    answer = whole([*events[:-1], Finish("tool_calls", USAGE)], Options(legacy_functions=True))["choices"][0]
    assert answer["message"]["function_call"] == {"name": "look", "arguments": "{}"}
    assert "tool_calls" not in answer["message"]
    assert answer["finish_reason"] == "function_call"


def test_files_are_links_with_room_around_them() -> None:
    events: list[Event] = [text("See:"), File(URL), File(URL), text("Nice?"), Finish("stop", USAGE)]
    link = f"![image]({URL})"
    expected = f"See:\n\n{link}\n\n{link}\n\nNice?"
    assert "".join([delta.get("content", "") for delta in deltas(events)]) == expected
    assert whole(events)["choices"][0]["message"]["content"] == expected


def test_files_are_parts_where_parts_were_asked_for() -> None:
    events: list[Event] = [File(URL), File("https://x.org/a.wav", "audio/wav", "a.wav"), Finish("stop", USAGE)]
    parts = [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "file", "file": {"url": "https://x.org/a.wav", "filename": "a.wav", "media_type": "audio/wav"}},
    ]
    answer = whole(events, Options(media_as_parts=True))
    assert answer["choices"][0]["message"]["content"] == parts
    assert folded(stream(events, Options(media_as_parts=True)))["choices"][0]["message"]["content"] == parts
    mixed = whole([text("a"), *events], Options(media_as_parts=True))["choices"][0]["message"]["content"]
    assert mixed == [{"type": "text", "text": "a"}, *parts]


def test_a_refusal_is_no_content() -> None:
    events: list[Event] = [Extra({"refusal": "I "}), Extra({"refusal": "won't."}), Finish("stop", USAGE)]
    message = whole(events)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I won't.")
    assert folded(stream(events))["choices"][0]["message"]["refusal"] == "I won't."


def test_sources_that_come_again_are_told_once() -> None:
    sources = [{"type": "url_citation", "url_citation": {"url": "https://x.org"}}, {"type": "other"}]
    events: list[Event] = [
        Extra({"annotations": sources[:1]}),
        text("a"),
        Extra({"annotations": sources}),
        Finish("stop", USAGE),
    ]
    assert whole(events)["choices"][0]["message"]["annotations"] == sources
    assert [delta["annotations"] for delta in deltas(events) if "annotations" in delta] == [sources]


def test_probabilities_stand_beside_the_delta_with_every_member() -> None:
    token = {"token": "a", "logprob": -1, "bytes": None, "top_logprobs": []}
    events: list[Event] = [
        text("a"),
        Extra({"logprobs": {"content": [token]}}),
        text("a"),
        Extra({"logprobs": {"content": [token]}}),
    ]
    choices = [chunk["choices"][0] for chunk in chunks_of(stream([*events, Finish("stop", USAGE)]))]
    told = [choice["logprobs"] for choice in choices if choice["logprobs"]]
    assert told == [{"content": [token], "refusal": None}] * 2
    assert whole([*events, Finish("stop", USAGE)])["choices"][0]["logprobs"]["content"] == [token, token]


def test_an_answer_that_is_empty_is_one() -> None:
    assert whole([Finish("length", USAGE)])["choices"][0]["message"]["content"] == ""
    assert [choice["choices"][0]["finish_reason"] for choice in chunks_of(stream([Finish("length")]))] == [
        None,
        "length",
    ]


def test_nothing_is_told_of_work_that_nobody_sees() -> None:
    assert stream([Progress(), text("a"), Progress(), Finish("stop")]) == stream([text("a"), Finish("stop")])


def test_a_failure_ends_a_stream_without_done() -> None:
    encoder = StreamEncoder("chatcmpl-1", "Model", 1, Options())
    refusal = Refusal(502, "It broke.", type_="server_error", code="upstream_error")
    written = encoder.feed([text("a")]) + KEEPALIVE + encoder.fail(refusal)
    assert_stream_conforms(written)
    assert b"[DONE]" not in written
    error = {"message": "It broke.", "type": "server_error", "param": None, "code": "upstream_error"}
    assert orjson.loads(written.split(b"data: ")[-1]) == {"error": error}


def test_counts_that_are_ours_say_so_and_the_providers_own_details_are_kept() -> None:
    reported = {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 9,
        "cache_read_input_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 1, "cache_creation_tokens": 7, "audio_tokens": None, "text": "x"},
        "completion_tokens_details": None,
        "cost": 0.5,
        "negative_tokens": -1,
    }
    usage = whole([text("a"), Finish("stop", Usage(3, 5, cached_tokens=1, reported=reported))])["usage"]
    assert usage == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 9,
        "cache_read_input_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0, "cache_creation_tokens": 7},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert whole([text("a"), Finish("stop", Usage(3, 5, estimated=True))])["usage"]["estimated"] is True


def test_a_hundred_pieces_are_one_join() -> None:
    pieces = Text(tuple([b"word "] * 100))

    def seconds() -> float:
        encoder = StreamEncoder("chatcmpl-1", "Model", 1, Options())
        encoder.feed([text("a")])
        began = time.thread_time()
        for _ in range(100):
            encoder.feed([pieces])
        return (time.thread_time() - began) / 100

    # It takes 3 µs; a chunk made by itself takes 1 µs at least, and there are a hundred of them.
    assert min([seconds() for _ in range(20)]) < 50e-6


CITED = {
    "type": "url_citation",
    "url_citation": {"url": "https://x.org", "title": "", "start_index": 0, "end_index": 1},
}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
TEXT_EVENTS = st.lists(TEXTS, max_size=3).map(lambda pieces: text(*pieces))
OTHERS: st.SearchStrategy[Event] = st.one_of(
    TEXT_EVENTS,
    st.lists(TEXTS, min_size=1, max_size=3).map(lambda pieces: Reasoning(tuple([escape(each) for each in pieces]))),
    st.just(Progress()),
    st.builds(File, st.sampled_from([URL, "https://x.org/a b.wav"]), st.sampled_from(["", "audio/wav"]), TEXTS),
    st.sampled_from(
        [
            Extra({"refusal": "no"}),
            Extra({"annotations": [CITED]}),
            Extra({"annotations": [CITED, {**CITED, "title": "2"}], "provider_specific_fields": {"citations": ["x"]}}),
            Extra({"logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [1], "top_logprobs": []}]}}),
        ]
    ),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Any sequence of events that a wire may give: calls open in order, their fragments come as they like."""
    events = draw(st.lists(OTHERS, max_size=6))
    names = draw(st.lists(st.sampled_from(["look", "patch"]), max_size=3))
    at = 0
    for index, name in enumerate(names):
        arguments = draw(st.sampled_from(['{"input": "a\\nb"}', "{}", '{"x": [1, "ü"]}', "broken"]))
        cut = draw(st.integers(0, len(arguments)))
        opaque = draw(st.sampled_from([None, {"google": {"thought_signature": "c2ln"}}]))
        at = draw(st.integers(at, len(events)))
        events.insert(at, ToolCall(index, f"call_{index}", name, arguments[:cut], opaque))
        at += 1
        events.insert(draw(st.integers(at, len(events))), ToolCall(index, f"call_{index}", None, arguments[cut:]))
    reason: FinishReason = draw(st.sampled_from(["stop", "length", "content_filter"]))
    usage = draw(st.sampled_from([USAGE, Usage(1, 2, estimated=True)]))
    return [*events, Finish("tool_calls" if names and reason == "stop" else reason, usage)]


OPTIONS = st.builds(
    Options,
    include_usage=st.booleans(),
    media_as_parts=st.booleans(),
    custom_tools=st.sampled_from([frozenset(), frozenset({"patch"})]),
    hide_reasoning=st.booleans(),
)


@given(answers(), OPTIONS)
@settings(max_examples=400, deadline=None)
def test_a_stream_says_what_the_whole_answer_says(events: list[Event], options: Options) -> None:
    said = plain(folded(stream(events, options)))
    meant = plain(whole(events, options))
    if not options.include_usage:
        meant["usage"] = None
    assert said == meant


@given(answers(), OPTIONS, st.data())
@settings(max_examples=100, deadline=None)
def test_how_events_arrive_makes_no_difference(events: list[Event], options: Options, data: st.DataObject) -> None:
    encoder = StreamEncoder("chatcmpl-1", "Model", 1700000000, options)
    cut = data.draw(st.integers(0, len(events) - 1))
    assert encoder.feed(events[:cut]) + encoder.feed(events[cut:]) == stream(events, options)


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_the_older_form_folds_too(reason: FinishReason) -> None:
    options = Options(legacy_functions=True)
    events: list[Event] = [text("a"), ToolCall(0, "a", "look", "{"), ToolCall(0, "a", None, "}"), Finish(reason, USAGE)]
    assert plain(folded(stream(events, options)))["message"] == plain(whole(events, options))["message"]
