"""Circuits: when one opens, who is the trial, and what closes it again."""

from __future__ import annotations

import pytest

from service.routing.circuits import LAST_TRIAL_SECONDS, MAX_CIRCUITS, TRIAL_SECONDS, Circuits, Way
from tests.clock import Clock

WAY: Way = ("model", "chat")
ME, OTHER = object(), object()


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(5, clock=clock, spread=lambda low, high: high)


def fail(circuits: Circuits, times: int, way: Way = WAY) -> None:
    for _ in range(times):
        circuits.failed(way)


def test_four_failures_in_a_row_leave_it_closed(circuits: Circuits) -> None:
    fail(circuits, 4)
    assert circuits.enter(WAY, ME)
    assert circuits.seconds_to_trial(WAY) == 0


def test_five_failures_in_a_row_open_it_for_two_seconds(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    assert not circuits.enter(WAY, ME)
    assert circuits.seconds_to_trial(WAY) == 2
    clock.now += 2
    assert circuits.enter(WAY, ME)


def test_a_success_between_them_begins_the_count_anew(circuits: Circuits) -> None:
    fail(circuits, 4)
    circuits.succeeded(WAY)
    fail(circuits, 4)
    assert circuits.enter(WAY, ME)


def test_the_same_model_on_the_other_wire_is_another_circuit(circuits: Circuits) -> None:
    fail(circuits, 5)
    assert circuits.enter(("model", "bot"), ME)


def test_only_one_request_is_the_trial(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    clock.now += 2
    assert [circuits.enter(WAY, ME) for _ in range(3)] == [True, False, False]
    assert circuits.seconds_to_trial(WAY) > 0


def test_a_trial_that_fails_doubles_the_wait_up_to_fifteen_seconds(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    waits = []
    for _ in range(5):
        waits.append(circuits.seconds_to_trial(WAY))
        clock.now += waits[-1]
        assert circuits.enter(WAY, ME)
        circuits.failed(WAY)
    assert waits == [2, 4, 8, LAST_TRIAL_SECONDS, LAST_TRIAL_SECONDS]


def test_what_fails_while_it_is_open_does_not_lengthen_the_wait(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    clock.now += 1
    fail(circuits, 50)
    assert circuits.seconds_to_trial(WAY) == 1


def test_a_trial_that_begins_to_answer_lets_one_more_try_now_and_then(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    clock.now += 2
    assert circuits.enter(WAY, ME)
    circuits.began(WAY, ME)
    assert not circuits.enter(WAY, OTHER)
    clock.now += 2
    assert circuits.enter(WAY, OTHER)
    assert not circuits.enter(WAY, ME)
    circuits.succeeded(WAY)
    assert circuits.enter(WAY, ME)


def test_a_model_that_begins_and_breaks_off_is_left_alone_for_longer_and_longer(
    circuits: Circuits, clock: Clock
) -> None:
    fail(circuits, 5)
    waits = []
    for _ in range(4):
        waits.append(circuits.seconds_to_trial(WAY))
        clock.now += waits[-1]
        assert circuits.enter(WAY, ME)
        circuits.began(WAY, ME)
        clock.now += 1
        circuits.failed(WAY)
    assert waits == [2, 4, 8, LAST_TRIAL_SECONDS]


def test_who_is_no_longer_the_trial_does_not_free_its_place(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    clock.now += 2
    assert circuits.enter(WAY, ME)
    clock.now += TRIAL_SECONDS
    assert circuits.enter(WAY, OTHER)
    circuits.left(WAY, ME)
    assert not circuits.enter(WAY, ME)


def test_a_trial_whose_caller_left_leaves_the_place_to_the_next(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    clock.now += 2
    assert circuits.enter(WAY, ME)
    circuits.left(WAY, ME)
    assert circuits.enter(WAY, ME)


def test_a_trial_that_never_ends_keeps_nobody_out_for_ever(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, 5)
    clock.now += 2
    assert circuits.enter(WAY, ME)
    clock.now += TRIAL_SECONDS
    assert circuits.enter(WAY, ME)


def test_zero_failures_switch_circuits_off(clock: Clock) -> None:
    circuits = Circuits(0, clock=clock)
    fail(circuits, 100)
    assert circuits.enter(WAY, ME)
    assert len(circuits) == 0


def test_names_that_callers_make_up_do_not_pile_up(circuits: Circuits) -> None:
    for number in range(MAX_CIRCUITS + 10):
        circuits.failed((f"model-{number}", "bot"))
    assert len(circuits) == MAX_CIRCUITS


def test_the_waits_of_several_circuits_differ() -> None:
    clock = Clock()
    circuits = Circuits(1, clock=clock)
    ways: list[Way] = [(f"model-{number}", "chat") for number in range(20)]
    for way in ways:
        circuits.failed(way)
    waits = {circuits.seconds_to_trial(way) for way in ways}
    assert len(waits) > 1
    assert all(1.8 <= wait <= 2.0 for wait in waits)
