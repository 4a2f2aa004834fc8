"""Limits that Poe leaves to us end an answer where they should, and never an answer that keeps them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.events import Event, Extra, Finish, Progress, Reasoning, Text, ToolCall, Usage, escape, read
from service.prompt import Prompt, TextPart, Turn
from service.stages.shaping import LIMIT_NOTICE, Shaper
from tests.stages.tokenizer import pretokens

WORDS = "One two three four five six seven eight nine ten. "
TURNS = (Turn("user", (TextPart("x" * 400),)),)


def shaper(
    *, enforce: bool = True, notices: list[str] | None = None, refused: frozenset[str] = frozenset(), **members: Any
) -> Shaper:
    told = [] if notices is None else notices
    return Shaper(Prompt("m", TURNS, **members), enforce=enforce, notice=told.append, refused=refused)


def text(*pieces: str) -> Text:
    return Text(tuple([escape(piece) for piece in pieces]))


def shown(events: list[Event]) -> str:
    return "".join([read(event.pieces) for event in events if isinstance(event, Text)])


def run(stage: Shaper, *batches: list[Event]) -> list[Event]:
    """What passes, as the gateway asks for it: until nothing more is wanted."""
    out: list[Event] = []
    for batch in batches:
        out += stage.feed(list(batch))
        if stage.over:
            break
    return out


def test_without_limits_everything_passes_and_is_counted() -> None:
    stage = shaper()
    events = run(stage, [Reasoning((b"b" * 80,)), text("a" * 40)], [Progress(), Extra({"a": 1})], [Finish("stop")])
    assert [type(event) for event in events] == [Reasoning, Text, Progress, Extra, Finish]
    assert events[-1] == Finish(
        "stop", Usage(prompt_tokens=104, completion_tokens=30, reasoning_tokens=20, estimated=True)
    )


@pytest.mark.parametrize("enforce", [True, False])
def test_counts_of_the_provider_are_kept(enforce: bool) -> None:
    usage = Usage(1, 2)
    assert run(shaper(enforce=enforce, max_tokens=5, stop=("x",)), [text("a"), Finish("stop", usage)])[-1] == Finish(
        "stop", usage
    )


def test_an_answer_ends_before_the_stop_sequence() -> None:
    stage = shaper(stop=("END",))
    events = run(stage, [text("one E")], [text("N")], [text("D two")], [text("three"), Finish("stop")])
    assert shown(events) == "one "
    assert stage.over
    assert isinstance(events[-1], Finish)
    assert events[-1].reason == "stop"
    assert events[-1].usage is not None
    assert events[-1].usage.estimated


def test_a_wire_that_is_told_stop_sequences_is_trusted_with_them() -> None:
    assert shown(run(shaper(enforce=False, stop=("END",)), [text("one END two"), Finish("stop")])) == "one END two"


def test_blanks_are_looked_for_on_every_wire() -> None:
    usage = Usage(3, 4)
    events = run(shaper(enforce=False, stop=("\n\n", "END")), [text("one END\n"), text("\ntwo"), Finish("stop", usage)])
    assert shown(events) == "one END"
    assert events[-1] == Finish("stop", usage), "the provider's counts are here already"


def test_signs_of_work_hide_no_sequence() -> None:
    assert shown(run(shaper(stop=("END",)), [text("a E"), Progress(), text("ND b"), Finish("stop")])) == "a "


def test_a_call_between_two_texts_parts_them() -> None:
    events = run(shaper(stop=("END",)), [text("a E"), ToolCall(0, "c", "look", "{}"), text("ND b"), Finish("stop")])
    assert shown(events) == "a END b"
    assert [type(event) for event in events[:3]] == [Text, Text, ToolCall], "what waited comes before the call"


def test_what_waited_passes_at_the_end_and_counts_once() -> None:
    events = run(shaper(stop=("aaaaaaaab",)), [text("a" * 8), Finish("stop")])
    assert shown(events) == "a" * 8
    assert events[-1] == Finish("stop", Usage(104, 2, estimated=True))


def test_a_sequence_at_the_very_start_leaves_nothing() -> None:
    events = run(shaper(stop=("a",)), [text("abc")])
    assert [type(event) for event in events] == [Finish]


def test_an_answer_that_is_surely_too_long_is_cut() -> None:
    notices: list[str] = []
    stage = shaper(max_tokens=20, notices=notices)
    batches: list[list[Event]] = [[text(WORDS)] for _ in range(100)]
    events = run(stage, *batches, [Finish("stop")])
    assert stage.over
    assert isinstance(events[-1], Finish)
    assert events[-1].reason == "length"
    assert len(shown(events).split()) == 19, "and two full stops"
    assert notices == [LIMIT_NOTICE]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (WORDS * 60, (WORDS * 2).removesuffix("ten. ")),
        ("一二三四" * 60, "一二三四" * 20),
        ("7" * 100, "7" * 80),
        ("words and " + "a" * 2000, "words and " + "a" * 24 * 18),
    ],
)
@pytest.mark.parametrize("kind", [Text, Reasoning])
def test_one_piece_is_cut_where_it_is_surely_over(kind: type[Text | Reasoning], said: str, kept: str) -> None:
    stage = shaper(max_tokens=20)
    first, last = run(stage, [kind((escape(said + " "),)), Finish("stop", Usage(3, 999))])
    assert isinstance(first, kind)
    assert read(first.pieces) == kept
    assert last == Finish("length", Usage(3, 999)), "the upstream has counted what it made"


def test_a_short_limit_is_kept_word_by_word() -> None:
    events = run(shaper(max_tokens=3), *[[text(f"{word} ")] for word in WORDS.split()])
    assert shown(events) == "One two three "
    assert isinstance(events[-1], Finish)


def test_nothing_is_told_of_limits_that_are_not_ours() -> None:
    notices: list[str] = []
    shaper(max_tokens=20, enforce=False, notices=notices)
    shaper(stop=("a",), notices=notices)
    assert notices == []


def test_thoughts_count_towards_the_limit() -> None:
    events = run(shaper(max_tokens=20), [Reasoning((escape(WORDS * 60),))], [text("a"), Finish("stop")])
    assert [type(event) for event in events] == [Reasoning, Finish]
    assert events[-1] == Finish("length", events[-1].usage if isinstance(events[-1], Finish) else None)


def test_a_stop_sequence_behind_the_limit_is_not_reached() -> None:
    events = run(shaper(max_tokens=10, stop=("END",)), [text(WORDS * 60), text("END"), Finish("stop")])
    reasons = [event.reason for event in events if isinstance(event, Finish)]
    assert reasons == ["length"]


@given(
    st.lists(st.text("abcdefg ,.\n-_'0123456789", max_size=30), max_size=30),
    st.lists(st.sampled_from(["text", "reasoning", "call"]), min_size=30, max_size=30),
)
@settings(max_examples=300, deadline=None)
def test_an_answer_within_its_limit_is_never_cut(texts: list[str], kinds: list[str]) -> None:
    events: list[Event] = []
    for part, kind in zip(texts, kinds, strict=False):
        if kind == "text":
            events.append(text(part))
        elif kind == "reasoning":
            events.append(Reasoning((escape(part),)))
        else:
            events.append(ToolCall(0, "c", "f", part))
    joined = "".join(texts)
    limit = pretokens(joined) + len(joined) // 64 + 1
    found = run(shaper(max_tokens=limit), [*events, Finish("stop")])
    assert found[:-1] == events
    assert isinstance(found[-1], Finish)
    assert found[-1].reason == "stop"


def test_a_long_word_is_not_taken_for_many() -> None:
    """Five tokens of any large vocabulary, and 58 letters."""
    said = "information technology department development organization"
    assert shown(run(shaper(max_tokens=5), [*[text(each) for each in said], Finish("stop")])) == said


def test_stop_sequences_that_a_model_refuses_are_looked_for() -> None:
    stage = shaper(enforce=False, refused=frozenset({"stop"}), stop=("END",))
    assert shown(run(stage, [text("a END b"), Finish("stop")])) == "a "
