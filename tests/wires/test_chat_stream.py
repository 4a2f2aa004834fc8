"""The chat wire's chunk reader: whatever the pattern skips must say the same as parsing everything."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Failure, Kind
from service.events import Event, Extra, Finish, Reasoning, Text, ToolCall, read
from service.wires.chat_stream import ChatReader

FRAME = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(delta: dict[str, Any], reason: str | None = None, **members: Any) -> dict[str, Any]:
    return {**FRAME, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **members}


def datas(*chunks: Any, ascii_only: bool = False, done: bool = True) -> list[bytes]:
    written = [
        item if isinstance(item, bytes) else json.dumps(item, ensure_ascii=ascii_only).encode() for item in chunks
    ]
    return [*written, b"[DONE]"] if done else written


def told(events: list[Event]) -> str:
    return "".join(read(event.pieces) for event in events if isinstance(event, Text))


def answer(items: list[bytes]) -> list[Event]:
    reader = ChatReader()
    events = reader.feed(frames(items))
    return events if reader.over else events + reader.close()


def frames(items: list[bytes]) -> bytes:
    return b"".join(b"data: %b\n\n" % item for item in items)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=12), st.booleans(), st.booleans())
def test_text_survives_whatever_it_holds(texts: list[str], ascii_only: bool, spaced: bool) -> None:
    items = [chunk({"role": "assistant", "content": ""}), *[chunk({"content": text}) for text in texts]]
    events = answer(datas(*items, chunk({"content": "."}), chunk({}, "stop"), ascii_only=ascii_only))
    assert told(events) == "".join(texts) + "."


@given(st.text(alphabet='a🙂é\\"\n', min_size=2, max_size=8))
def test_pairs_of_surrogates_may_be_cut_between_chunks(text: str) -> None:
    halves = [chunk({"content": half}) for half in text.encode("utf-16-be", "surrogatepass").decode("utf-16-be")]
    units = text.encode("utf-16-be")
    halves = [
        chunk({"content": units[at : at + 2].decode("utf-16-be", "surrogatepass")}) for at in range(0, len(units), 2)
    ]
    events = answer(datas(chunk({"content": "x"}), *halves, chunk({}, "stop"), ascii_only=True))
    assert told(events) == "x" + text


def test_most_chunks_are_never_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    original = ChatReader._parse
    monkeypatch.setattr(
        ChatReader, "_parse", lambda self, data, frame: (parsed.append(data), original(self, data, frame))[1]
    )
    items = datas(*[chunk({"content": f"word{n} "}) for n in range(100)], chunk({}, "stop"))
    assert told(answer(items)) == "".join(f"word{n} " for n in range(100))
    assert len(parsed) == 3, "the first, the finish and [DONE]"


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"ind',
        b"not json",
        b"[1]",
        b"",
        b'{"choices": NaN',
        b'\xff\xfe{"a":1}',
    ],
)
def test_a_malformed_chunk_is_a_cut(bad: bytes) -> None:
    with pytest.raises(Failure) as failure:
        answer(datas(chunk({"content": "a"}), bad, chunk({"content": "b"}), chunk({}, "stop")))
    assert failure.value.kind is Kind.CUT


@pytest.mark.parametrize("inside", [b"\xff", b'a"b', b"\\q", b"tab\there", b"\\u12", b"\\"])
def test_rubbish_inside_the_pattern_is_a_cut(inside: bytes) -> None:
    first, second = datas(chunk({"content": "a"}), chunk({"content": "MARK"}), done=False)
    with pytest.raises(Failure) as failure:
        answer([first, second.replace(b"MARK", inside), *datas(chunk({}, "stop"))])
    assert failure.value.kind is Kind.CUT


@pytest.mark.parametrize("end", [[], [b"[DONE]"]])
def test_an_answer_without_a_finish_reason_is_cut(end: list[bytes]) -> None:
    with pytest.raises(Failure) as failure:
        answer([*datas(chunk({"content": "a"}), done=False), *end])
    assert failure.value.kind is Kind.CUT


def test_a_finish_without_done_is_an_end() -> None:
    events = answer(datas(chunk({"content": "a"}), chunk({}, "length"), done=False))
    assert events[-1] == Finish("length", None)


def test_bytes_after_done_are_ignored() -> None:
    items = [*datas(chunk({"content": "a"}), chunk({}, "stop")), *datas(chunk({"content": "b"}))]
    assert told(answer(items)) == "a"


@pytest.mark.parametrize("content", ["", None])
def test_an_empty_answer_has_failed(content: str | None) -> None:
    with pytest.raises(Failure) as failure:
        answer(datas(chunk({"role": "assistant", "content": content}), chunk({}, "stop")))
    assert failure.value.kind is Kind.EMPTY


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_empty_answer_with_a_reason_is_an_answer(reason: str) -> None:
    assert answer(datas(chunk({}, reason))) == [Finish(reason, None)]  # type: ignore[arg-type]


def test_an_error_in_band_fails() -> None:
    error = {"error": {"message": "provider exploded", "type": "server_error"}}
    with pytest.raises(Failure) as failure:
        answer(datas(chunk({"content": "a"}), error))
    assert failure.value.kind is Kind.BROKEN
    assert "exploded" in failure.value.message


def test_usage_is_kept_whole() -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    events = answer(datas(chunk({"content": "a"}), chunk({}, "stop"), {**FRAME, "choices": [], "usage": usage}))
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert finish.usage is not None
    assert (finish.usage.prompt_tokens, finish.usage.cached_tokens, finish.usage.reported) == (3, 2, usage)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_comes_under_either_name_once(name: str) -> None:
    both = {"reasoning": "think", "reasoning_content": "think"}
    for delta in ({name: "think"}, both):
        events = answer(datas(chunk(delta), chunk({"content": "a"}), chunk({}, "stop")))
        assert [read(event.pieces) for event in events if isinstance(event, Reasoning)] == ["think"]


def call(index: int | None, **members: Any) -> dict[str, Any]:
    fragment: dict[str, Any] = {"function": {k: v for k, v in members.items() if k in ("name", "arguments")}}
    if index is not None:
        fragment["index"] = index
    fragment |= {k: v for k, v in members.items() if k not in ("name", "arguments")}
    return chunk({"tool_calls": [fragment]})


def folded(events: list[Event]) -> dict[str, tuple[str, str]]:
    calls: dict[int, list[str]] = {}
    ids: dict[int, str] = {}
    for event in events:
        if isinstance(event, ToolCall):
            known = calls.setdefault(event.index, ["", ""])
            known[0] += event.name or ""
            known[1] += event.arguments
            assert ids.setdefault(event.index, event.id) == event.id
    return {ids[index]: (name, arguments) for index, (name, arguments) in calls.items()}


def test_interleaved_calls_keep_apart() -> None:
    events = answer(
        datas(
            call(0, id="a", name="f", arguments=""),
            call(1, id="b", name="g", arguments='{"y"'),
            call(0, arguments='{"x":1}'),
            call(1, arguments=":2}"),
            chunk({}, "tool_calls"),
        )
    )
    assert sorted(folded(events).values()) == [("f", '{"x":1}'), ("g", '{"y":2}')]
    assert all(id_.startswith("call_") for id_ in folded(events))


def test_calls_that_all_claim_index_0_keep_apart() -> None:
    events = answer(
        datas(
            call(0, id="a", name="f", arguments="{}"),
            call(0, id="b", name="f", arguments="{}"),
            chunk({}, "tool_calls"),
        )
    )
    assert list(folded(events).values()) == [("f", "{}"), ("f", "{}")]


def test_fragments_without_index_belong_to_the_last_call() -> None:
    events = answer(
        datas(call(None, id="a", name="f", arguments='{"x"'), call(None, arguments=":1}"), chunk({}, "stop"))
    )
    assert list(folded(events).values()) == [("f", '{"x":1}')]
    assert isinstance(events[-1], Finish)
    assert events[-1].reason == "tool_calls", "a model that says stop but called a tool called a tool"


def test_repeated_ids_of_the_upstream_become_unique() -> None:
    first = answer(datas(call(0, id="getWeather:0", name="getWeather", arguments="{}"), chunk({}, "tool_calls")))
    second = answer(datas(call(0, id="getWeather:0", name="getWeather", arguments="{}"), chunk({}, "tool_calls")))
    assert folded(first).keys() != folded(second).keys()


@pytest.mark.parametrize("arguments", ['{"x": ', '{"x": 1', "nonsense"])
def test_a_call_cut_in_its_arguments_is_cut(arguments: str) -> None:
    with pytest.raises(Failure) as failure:
        answer(datas(call(0, id="a", name="f", arguments=arguments), chunk({}, "tool_calls")))
    assert failure.value.kind is Kind.CUT


def test_what_the_vocabulary_does_not_know_is_kept() -> None:
    events = answer(datas(chunk({"content": "a", "annotations": [{"type": "url_citation"}]}), chunk({}, "stop")))
    assert Extra({"annotations": [{"type": "url_citation"}]}) in events


def test_another_choice_is_not_the_answer() -> None:
    second = {**FRAME, "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": None}]}
    assert told(answer(datas(chunk({"content": "a"}), second, chunk({}, "stop")))) == "a"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_batches_do_not_matter(data: st.DataObject) -> None:
    items = datas(*[chunk({"content": w}) for w in ("a", "\\", '"', "é", "🙂", "\n")], chunk({}, "stop"))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(items) - 1))))
    reader, events = ChatReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True):
        events += reader.feed(frames(items[start:end]))
    assert reader.over
    assert told(events) == 'a\\"é🙂\n'
    assert orjson.loads(orjson.dumps(told(events))) == told(events)


def test_thoughts_may_be_cut_in_the_middle_of_a_character_too() -> None:
    thoughts = [{"reasoning_content": half, "reasoning": half} for half in ("a\ud83d", "\ude42b")]
    chunks = [*[chunk(each) for each in thoughts], chunk({"content": "c"}), chunk({}, "stop")]
    events = answer(datas(*chunks, ascii_only=True))
    assert "".join([read(event.pieces) for event in events if isinstance(event, Reasoning)]) == "a🙂b"


def test_members_alone_are_no_answer() -> None:
    with pytest.raises(Failure) as failure:
        answer(datas(chunk({"provider_specific_fields": {"citations": ["x"]}}), chunk({}, "stop")))
    assert failure.value.kind is Kind.EMPTY
    refusal = answer(datas(chunk({"refusal": "No."}), chunk({}, "stop")))
    assert [type(event) for event in refusal] == [Extra, Finish]
