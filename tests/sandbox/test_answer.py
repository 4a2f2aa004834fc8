"""An answer of several pieces is cut once, at the limit of all of them."""

from __future__ import annotations

from service.sandbox.answer import Answer, CallTool, Say, trim
from service.sandbox.ask import Ask

CALL = CallTool("c1", "look", "{}")


def test_the_token_limit_counts_all_pieces() -> None:
    answer = Answer((Say("one two "), CALL, Say("three four")))
    cut = trim(answer, Ask((), max_tokens=3))
    assert cut.acts == (Say("one two "), CALL, Say("three"))
    assert cut.finish == "length"
    assert trim(answer, Ask((), max_tokens=4)) == answer


def test_a_stop_sequence_ends_everything_after_it() -> None:
    cut = trim(Answer((Say("one two"), Say("three"))), Ask((), stop=("two",)))
    assert (cut.acts, cut.finish) == ((Say("one "),), "stop")
