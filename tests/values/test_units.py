"""Durations, sizes, counts and lists are read exactly, or refused with a hint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10", 10.0), ("0.5", 0.5), ("500ms", 0.5), ("30s", 30.0), ("2m", 120.0), ("1.5h", 5400.0), ("24h", 86400.0)],
)
def test_a_duration_is_seconds_or_carries_a_unit(text: str, expected: float) -> None:
    assert units.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "nan", "inf", "10 seconds", "1m30s", "5d", "٣", ".5", "1.", "25h", "1_000", "2M", "1\n"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|at most 24h"):
        units.seconds(text)


def test_zero_is_a_duration_only_where_it_means_something() -> None:
    assert units.seconds_or_zero("0") == 0.0
    with pytest.raises(ValueError, match="above 0"):
        units.seconds("0ms")


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1), ("65536", 65536), ("64KiB", 65536), ("20 MiB", 20 << 20), ("1mib", 1 << 20)]
)
def test_a_size_is_bytes_or_carries_a_unit(text: str, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5MiB", "1MB", "1GiB", "1k", "2000000MiB", "९"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|above 0"):
        units.size(text)


def test_a_whole_number_keeps_its_bounds() -> None:
    read = units.whole(1, 10)
    assert (read("1"), read("010")) == (1, 10)
    for text in ("0", "11", "-1", "1.0", "", "+5", "9" * 5000):
        with pytest.raises(ValueError, match="whole number from 1 to 10"):
            read(text)


def test_words_are_taken_in_any_case_and_no_others() -> None:
    read = units.one_of(("try", "refuse"))
    assert read("TRY") == "try"
    with pytest.raises(ValueError, match="none of try, refuse"):
        read("maybe")


@pytest.mark.parametrize(("text", "on"), [("1", True), ("True", True), ("on", True), ("0", False), ("NO", False)])
def test_a_switch_knows_the_common_words(text: str, on: bool) -> None:
    assert units.switch(text) is on


def test_a_switch_refuses_other_words() -> None:
    with pytest.raises(ValueError, match="neither 1 nor 0"):
        units.switch("2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a, b\tc\r\nd", ["a", "b", "c", "d"]),
        ("a,", ["a"]),
        ("\na\n\nb\n,\n", ["a", "b"]),
        ("a,,b", ["a", "", "b"]),
        ("a,,", ["a", ""]),
        (",a", ["", "a"]),
        (",", [""]),
    ],
)
def test_a_list_is_separated_by_commas_and_blanks(text: str, expected: list[str]) -> None:
    assert units.items(text) == expected


@given(st.lists(st.text("abc:/@-_", min_size=1), min_size=1), st.sampled_from([",", "\n", " ", ", ", ",\n"]))
def test_what_was_joined_comes_apart_again(items: list[str], separator: str) -> None:
    assert units.items(separator.join(items)) == items
    assert units.items(separator.join(items) + separator) == items


@given(st.text())
def test_a_value_is_quoted_in_one_short_line(text: str) -> None:
    shown = units.quoted(text)
    assert len(shown.splitlines()) == 1
    assert len(shown) < 500
