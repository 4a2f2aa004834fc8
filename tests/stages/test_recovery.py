"""Recovery: a second answer goes on where the first one broke off, if and only if it begins with all of it."""

from __future__ import annotations

import random
import time

import pytest

from service.events import Event, Extra, File, Finish, Progress, Reasoning, Text, ToolCall, escape, read
from service.stages.recovery import MAX_KEPT_BYTES, DivergedError, Follower, Kept

DONE = Finish("stop")


def text(*pieces: str) -> Text:
    return Text(tuple(escape(piece) for piece in pieces))


def thought(*pieces: str) -> Reasoning:
    return Reasoning(tuple(escape(piece) for piece in pieces))


def follow(has: list[Event], second: list[Event]) -> list[Event]:
    kept = Kept()
    kept.add(has)
    follower = Follower(kept.known())
    return [event for each in second for event in follower.feed([each])]


def words(events: list[Event]) -> str:
    return "".join([read(event.pieces) for event in events if isinstance(event, Text)])


def test_the_rest_follows_what_the_caller_has() -> None:
    assert follow([text("Once upon", " a ti")], [text("Once"), text(" upon a time"), DONE]) == [text("me"), DONE]


def test_another_answer_is_none_of_the_callers() -> None:
    with pytest.raises(DivergedError):
        follow([text("Once upon")], [text("Once again")])


def test_an_answer_that_ends_sooner_is_another_one() -> None:
    with pytest.raises(DivergedError):
        follow([text("Once upon")], [text("Once"), DONE])


def test_the_same_text_in_other_escapes_is_the_same_text() -> None:
    second = Text((rb"caf\u00e9 \ud83d\ude42 an", rb"d more\/"))
    assert follow([text("café 🙂 and")], [second, DONE]) == [text(" more/"), DONE]


def test_thoughts_and_text_keep_their_order() -> None:
    has = [thought("Hm, "), thought("well."), text("Yes")]
    assert follow(has, [thought("Hm, well."), text("Yes, so."), DONE]) == [text(", so."), DONE]
    with pytest.raises(DivergedError):
        follow(has, [thought("Hm, well. More."), text("Yes, so.")])
    with pytest.raises(DivergedError):
        follow(has, [text("Yes, so."), DONE])


def test_thoughts_alone_may_be_followed_by_more_of_them() -> None:
    assert follow([thought("Hm")], [thought("Hm, well."), text("Yes"), DONE]) == [thought(", well."), text("Yes"), DONE]


def test_a_tool_call_keeps_the_id_that_the_caller_knows() -> None:
    has: list[Event] = [ToolCall(0, "call_first", "weather", ""), ToolCall(0, "call_first", None, '{"city": "Par')]
    second: list[Event] = [
        ToolCall(0, "call_second", "weather", '{"city": "Paris"}'),
        ToolCall(1, "call_third", "time", "{}"),
        Finish("tool_calls"),
    ]
    assert follow(has, second) == [
        ToolCall(0, "call_first", None, 'is"}'),
        ToolCall(1, "call_third", "time", "{}"),
        Finish("tool_calls"),
    ]


def test_a_call_of_which_only_the_name_is_known_must_come_again() -> None:
    has: list[Event] = [ToolCall(0, "call_first", "weather", "")]
    with pytest.raises(DivergedError):
        follow(has, [DONE])
    with pytest.raises(DivergedError):
        follow(has, [ToolCall(0, "call_second", "time", "{}")])
    with pytest.raises(DivergedError):
        follow(has, [text("I cannot say.")])
    assert follow(has, [ToolCall(0, "x", "weather", ""), ToolCall(0, "x", None, "{}"), Finish("tool_calls")]) == [
        ToolCall(0, "call_first", None, "{}"),
        Finish("tool_calls"),
    ]


def test_a_file_must_be_the_same_file() -> None:
    has: list[Event] = [File("https://files/a")]
    assert follow(has, [File("https://files/a"), File("https://files/b"), DONE]) == [File("https://files/b"), DONE]
    with pytest.raises(DivergedError):
        follow(has, [File("https://files/a2")])


def test_members_beside_the_vocabulary_are_compared_too() -> None:
    has: list[Event] = [Extra({"citations": ["a"]}), text("So")]
    assert follow(has, [Extra({"citations": ["a"]}), text("So it is"), DONE]) == [text(" it is"), DONE]
    with pytest.raises(DivergedError):
        follow(has, [Extra({"citations": ["b"]})])


def test_signs_of_work_are_no_part_of_an_answer() -> None:
    assert follow([text("a")], [Progress(), text("ab"), DONE]) == [text("b"), DONE]


def test_a_caller_with_more_than_can_be_kept_is_not_recovered() -> None:
    kept = Kept()
    kept.add([Text((b"x" * MAX_KEPT_BYTES,))])
    assert kept.comparable
    kept.add([text("x")])
    assert not kept.comparable


def test_however_both_are_cut_into_pieces_the_caller_ends_with_the_second_answer() -> None:
    rng = random.Random(7)
    alphabet = 'aé🙂"\\\n'
    for _ in range(2000):
        answer = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 30)))
        cut = rng.randrange(1, len(answer) + 1)
        has = [text(piece) for piece in pieces(rng, answer[:cut])]
        other = answer if rng.random() < 0.7 else changed(rng, answer)
        second = [*[text(piece) for piece in pieces(rng, other)], DONE]
        if other.startswith(answer[:cut]):
            assert answer[:cut] + words(follow(list(has), list(second))) == other
        else:
            with pytest.raises(DivergedError):
                follow(list(has), list(second))


def pieces(rng: random.Random, whole: str) -> list[str]:
    out, at = [], 0
    while at < len(whole):
        size = rng.randrange(1, 6)
        out.append(whole[at : at + size])
        at += size
    return out


def changed(rng: random.Random, whole: str) -> str:
    at = rng.randrange(len(whole))
    return whole[:at] + rng.choice("xyz") + whole[at + 1 :]


def test_a_long_answer_in_many_small_pieces_is_followed_at_once() -> None:
    piece = text("abcd")
    kept = Kept()
    kept.add([piece] * 100_000)
    began = time.thread_time()
    follower = Follower(kept.known())
    for _ in range(100_000):
        assert follower.feed([piece]) == []
    assert follower.caught_up
    assert follower.feed([piece, DONE]) == [piece, DONE]
    assert time.thread_time() - began < 5, "a loop over all that is known for each piece takes minutes"
