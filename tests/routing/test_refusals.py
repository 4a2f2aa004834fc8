"""Learned refusals: what a model would not take is left out for an hour."""

from __future__ import annotations

from typing import Any

from service.routing.refusals import MAX_PARAMETERS, MAX_ROUTES, REMEMBERED_SECONDS, LearnedRefusals


def test_a_refusal_counts_for_its_model_and_wire_alone() -> None:
    refusals = LearnedRefusals()
    assert refusals.learn("gpt-5.2", "chat", "seed")
    assert refusals.refused("gpt-5.2", "chat") == {"seed"}
    assert refusals.refused("gpt-5.2", "bot") == frozenset()
    assert refusals.refused("gpt-5.1", "chat") == frozenset()


def test_requests_that_meet_the_same_refusal_at_once_learn_the_same() -> None:
    refusals = LearnedRefusals()
    assert refusals.learn("m", "chat", "seed")
    assert refusals.learn("m", "chat", "seed")
    assert refusals.learn("m", "chat", "verbosity")
    assert refusals.refused("m", "chat") == {"seed", "verbosity"}


def test_each_lesson_is_forgotten_an_hour_after_it_was_learned(clock: Any) -> None:
    refusals = LearnedRefusals(clock=clock)
    refusals.learn("m", "chat", "seed")
    clock.now += REMEMBERED_SECONDS - 1
    refusals.learn("m", "chat", "verbosity")
    clock.now += 1
    assert refusals.refused("m", "chat") == {"verbosity"}
    clock.now += REMEMBERED_SECONDS
    assert refusals.refused("m", "chat") == frozenset()


def test_what_is_remembered_is_bounded() -> None:
    refusals = LearnedRefusals()
    assert sum(refusals.learn("m", "chat", f"p{number}") for number in range(100)) == MAX_PARAMETERS
    assert not refusals.learn("m2", "chat", "x" * 65)
    assert not refusals.learn("m2", "chat", "")
    for number in range(MAX_ROUTES):
        refusals.learn(f"other-{number}", "chat", "seed")
    assert refusals.refused("m", "chat") == frozenset()
