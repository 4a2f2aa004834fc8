"""Thoughts at the start of a bot's answer are told from it however the text is cut; anything else stays untouched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.wires.bot_thinking import Thoughts
from tests.wires.answers import DONE, Answer, ours, text

POES = "*Thinking...*\n\n> **A plan**\n> \n> I think: > 1.\n> \n\n\nThe answer.\n\n> quoted\n"


def split(chunks: list[str]) -> tuple[str, str]:
    thoughts = Thoughts()
    parts = [part for chunk in chunks for part in thoughts.feed(chunk)] + [(False, thoughts.flush())]
    found = "".join(t for is_thought, t in parts if is_thought), "".join(t for is_thought, t in parts if not is_thought)
    assert parts.index(next((p for p in parts if not p[0]), parts[-1])) >= sum(p[0] for p in parts)
    return found


@pytest.mark.parametrize(
    ("whole", "thoughts", "answer"),
    [
        (POES, "**A plan**\n\nI think: > 1.", "The answer.\n\n> quoted\n"),
        ("Thinking...\n> a\n>b\n\nx", "a\nb", "x"),
        ("\n *Thinking...* \n>  a\nx", " a", "x"),
        ("*Thinking...*\n\n> a", "a", ""),
        ("*Thinking...*\n\n> a\n\n", "a", ""),
        ("*Thinking...*\n\n> a\n\n  indented", "a", "  indented"),
        ("*Thinking...*\n\nNo quotation", "", "*Thinking...*\n\nNo quotation"),
        ("*Thinking...* > not on a line of its own", "", "*Thinking...* > not on a line of its own"),
        ("*Thinking...*", "", "*Thinking...*"),
        ("*Think", "", "*Think"),
        ("*Thinking* is hard", "", "*Thinking* is hard"),
        ("> quoted\n\n*Thinking...*\n\n> a", "", "> quoted\n\n*Thinking...*\n\n> a"),
        ("The answer\n*Thinking...*\n\n> a", "", "The answer\n*Thinking...*\n\n> a"),
        ("*Thinking...*" + "\n" * 100 + "> a", "", "*Thinking...*" + "\n" * 100 + "> a"),
        ("\n" * 100, "", "\n" * 100),
        ("", "", ""),
    ],
)
def test_thoughts_are_told_from_the_answer_at_every_cut(whole: str, thoughts: str, answer: str) -> None:
    assert split([whole]) == (thoughts, answer)
    assert split(list(whole)) == (thoughts, answer)
    for cut in range(len(whole) + 1):
        assert split([whole[:cut], whole[cut:]]) == (thoughts, answer)


@given(
    st.lists(
        st.sampled_from(["*Thinking...*", "Thinking...", "\n", "\n\n", "> ", ">", " ", "x", "*", "T", "a b"]),
        max_size=12,
    ),
    st.data(),
)
def test_no_cutting_matters(words: list[str], data: st.DataObject) -> None:
    whole = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    assert split([whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]) == split([whole])


@given(st.text(max_size=80))
def test_text_that_does_not_begin_so_is_untouched(whole: str) -> None:
    if not whole.lstrip().startswith(("*T", "T")):
        assert split([whole]) == ("", whole)


def test_a_bots_thoughts_become_reasoning() -> None:
    body = b"".join(text(word) for word in POES.split(" ") for word in (word, " "))
    expected = Answer(text="The answer.\n\n> quoted\n ", thoughts="**A plan**\n\nI think: > 1.", finish="stop")
    assert ours([body + DONE]) == expected
    assert ours([body + DONE], held=True) == expected


def test_how_events_arrive_together_makes_no_difference() -> None:
    said = ["*Thinking...*\n\n> The ", "user ", "wrote.", "\n> \n> I ", "answer.", "\n\n", "One ", "two"]
    events = [*[text(piece) for piece in said], DONE]
    for cuts in range(1 << (len(events) - 1)):
        reads = [b""]
        for place, each in enumerate(events):
            reads[-1] += each
            if cuts >> place & 1:
                reads.append(b"")
        assert ours(reads) == Answer(text="One two", thoughts="The user wrote.\n\nI answer.", finish="stop")
