"""An answer ends before the first stop sequence that is complete, however its text was cut into pieces."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from service.events import Text, escape, read
from service.stages.stopping import LONGEST, StopScanner


def passed(pieces: list[str], *sequences: str) -> tuple[str, bool]:
    """What comes out of the scanner, and whether a sequence was met."""
    scanner = StopScanner(sequences)
    out = [scanner.feed(Text((escape(piece),))) for piece in pieces] + [scanner.flush()]
    return "".join([read(text.pieces) for text in out if text is not None]), scanner.found


def expected(text: str, sequences: list[str]) -> str:
    """The same by `str.find`: up to where that sequence begins which is complete first."""
    ends = [(text.find(each) + len(each), text.find(each)) for each in sequences if each in text]
    return text[: min(ends)[1]] if ends else text


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """A text in pieces, and sequences that are likely to be in it, over each other and over the cuts."""
    alphabet = draw(st.sampled_from(["ab", "abc\n", "aé漢🙂"]))
    text = draw(st.text(alphabet, max_size=24))
    sequences = draw(st.lists(st.text(alphabet, min_size=1, max_size=5), min_size=1, max_size=4))
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=24)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)], sequences


@given(cuts())
@settings(max_examples=1500, deadline=None)
def test_pieces_make_no_difference(case: tuple[list[str], list[str]]) -> None:
    pieces, sequences = case
    text = "".join(pieces)
    meant = expected(text, sequences)
    assert passed(pieces, *sequences) == (meant, any(each in text for each in sequences))


def test_the_sequence_that_is_complete_first_wins() -> None:
    assert passed(["abcd"], "abcd", "bc") == ("a", True)
    assert passed(list("abcd"), "abcd", "bc") == ("a", True)


def test_of_two_that_end_together_the_longer_wins() -> None:
    assert passed(["xabc"], "abc", "c") == ("x", True)


def test_what_may_be_a_beginning_waits_and_then_passes() -> None:
    scanner = StopScanner(("###",))
    assert scanner.feed(Text((b"a#", b"#"))) == Text((b"a",))
    assert scanner.feed(Text((b"b",))) == Text((b"##b",))
    assert scanner.feed(Text((b"#",))) is None
    assert scanner.flush() == Text((b"#",))


def test_nothing_comes_after_the_end() -> None:
    scanner = StopScanner(("x",))
    assert scanner.feed(Text((b"ax",))) == Text((b"a",))
    assert scanner.feed(Text((b"b",))) is None
    assert scanner.flush() is None


def test_no_sequence_stops_nothing() -> None:
    assert passed(["abc"], "") == ("abc", False)


def test_a_sequence_as_long_as_a_book_costs_nothing() -> None:
    long = "a" * 2_000_000
    began = time.thread_time()
    assert passed(["a" * 1000] * 200, long, "a" * LONGEST + "b")[1] is False
    assert time.thread_time() - began < 5
