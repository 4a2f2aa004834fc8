"""Never more than the limit in any minute, and Poe's own numbers before ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.keys.window import GRAIN_SECONDS, LARGEST_LIMIT, LONGEST_TOLD_SECONDS, UNTOLD_SECONDS, Window

LIMIT = 5


def after(*moments: float, limit: int = LIMIT) -> Window:
    """A window after requests at some moments."""
    window = Window(limit)
    for moment in moments:
        window.take(moment)
    return window


def test_the_last_that_may_leave_is_told() -> None:
    window = Window(3)
    assert [window.take(0.0), window.take(1.0), window.take(2.0)] == [False, False, True]


def test_a_slot_is_free_a_minute_after_it_was_taken() -> None:
    window = after(0.0, 10.0, 20.0, 30.0, 40.0)
    assert window.free_at(50.0) == 60.0
    assert first(6, window.slots(50.0)) == [60.0, 70.0, 80.0, 90.0, 100.0, 120.0]
    assert first(6, window.slots(65.0)) == [65.0, 70.0, 80.0, 90.0, 100.0, 125.0]
    assert first(11, window.slots(1000.0)) == [1000.0] * LIMIT + [1060.0] * LIMIT + [1120.0]


def first(number: int, slots: Iterator[float]) -> list[float]:
    """The first of all slots."""
    return list(islice(slots, number))


@given(
    st.lists(st.floats(0.0, 30.0, allow_nan=False).map(lambda gap: gap**3 / 900), max_size=80),
    st.integers(1, 6),
)
def test_whatever_the_schedule_no_minute_holds_more_than_the_limit(gaps: list[float], limit: int) -> None:
    window, now, left = Window(limit), 0.0, list[float]()
    for gap in gaps:
        now += gap
        free_at = window.free_at(now)
        if free_at > now:
            assert left[-limit] + 60 <= free_at + 1e-9
            assert free_at <= left[-limit] + 60 + GRAIN_SECONDS
            now = free_at
        window.take(now)
        left.append(now)
        assert sum(moment > now - 60 + 1e-9 for moment in left) <= limit


def test_a_window_stays_small_however_many_leave() -> None:
    window, count = Window(LARGEST_LIMIT), 20_000
    for number in range(count):
        window.take(number * 0.01)
    assert len(window._buckets) <= 60 / GRAIN_SECONDS + 1
    assert 6000 <= window.used <= 6000 + GRAIN_SECONDS / 0.01


def test_a_request_that_never_left_gives_its_slot_back() -> None:
    window = after(0.0, 10.0, 20.0, 20.01, 30.0)
    assert window.free_at(30.0) == 60.0
    window.give_back(20.01)
    assert window.free_at(30.0) == 30.0
    assert window.take(30.0) is True
    window.give_back(0.0)
    window.take(31.0)
    assert window.free_at(31.0) == 70.0


def test_poes_limit_replaces_ours() -> None:
    window = after(0.0, 1.0)
    assert window.told(2.0, 2, 3, None, None) is False
    assert window.take(2.0) is True
    assert window.told(2.0, 3, 100, None, None) is False
    assert window.told(2.0, 3, 2, None, None) is True
    assert window.free_at(2.0) == 61.0
    window.told(2.0, 3, 10**9, None, None)
    assert window.limit == LARGEST_LIMIT


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_not_believed(limit: int) -> None:
    window = Window(LIMIT)
    window.told(0.0, 0, limit, None, None)
    assert window.limit == LIMIT


def test_what_poe_says_is_left_wins_until_its_reset() -> None:
    window = after(0.0)
    assert window.told(1.0, 1, None, 2, 10.0) is False
    assert [window.take(1.0), window.take(1.0)] == [False, True]
    assert window.free_at(2.0) == 11.0
    assert window.free_at(11.0) == 11.0
    assert first(6, window.slots(2.0)) == [11.0, 11.0, 60.0, 61.0, 61.0, 71.0]


def test_poe_may_know_of_more_room_than_we_count() -> None:
    window = after(0.0, 0.0, 0.0, 0.0, 0.0)
    assert window.free_at(1.0) == 60.0
    assert window.told(1.0, 5, None, 3, 20.0) is False
    assert window.free_at(1.0) == 1.0


def test_nothing_left_holds_until_the_reset_and_our_own_count_after_it() -> None:
    window = after(0.0)
    assert window.told(1.0, 1, 500, 0, 30.0) is True
    assert (window.free_at(1.0), window.free_at(30.9), window.free_at(31.0)) == (31.0, 31.0, 31.0)
    full = after(0.0, 0.0, 0.0, 0.0, 0.0)
    full.told(1.0, 5, None, 0, 30.0)
    assert full.free_at(1.0) == 60.0


def test_nothing_left_and_no_reset_is_believed_for_a_moment() -> None:
    window = after(0.0)
    assert window.told(1.0, 1, None, 0, None) is True
    assert window.free_at(1.0) == 1.0 + UNTOLD_SECONDS
    other = after(0.0)
    assert other.told(1.0, 1, None, 3, None) is False
    assert other.free_at(1.0) == 1.0


def test_a_reset_is_bounded() -> None:
    window = after(0.0)
    window.told(1.0, 1, None, 0, 1e9)
    assert window.free_at(1.0) == 1.0 + LONGEST_TOLD_SECONDS


def test_requests_that_left_after_the_one_that_was_answered_are_taken_off() -> None:
    window = after(0.0, 0.0, 0.0)
    assert window.told(1.0, 1, None, 3, 10.0) is False
    assert window.take(1.0) is True


def test_the_answer_to_an_older_request_says_nothing_new() -> None:
    window = after(0.0, 0.0, 0.0)
    window.told(1.0, 3, None, 0, 10.0)
    assert window.told(1.0, 2, None, 9, 10.0) is True
    assert window.free_at(1.0) == 11.0
    assert window.told(12.0, 2, None, 9, 10.0) is False


def test_where_more_left_than_a_lower_limit_allows_the_first_of_them_make_no_room() -> None:
    window = after(0.0, 10.0, 10.0, 10.0, 20.0)
    window.told(20.0, 5, 2, None, None)
    assert first(3, window.slots(20.0)) == [70.0, 80.0, 130.0]
