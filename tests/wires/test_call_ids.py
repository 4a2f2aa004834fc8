"""Tool-call ids: ours are unique and plain, and the upstream's come back out of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.wires.call_ids import mint, original


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_every_upstream_id_comes_back(upstream_id: str) -> None:
    ours = mint(upstream_id)
    assert original(ours) == upstream_id
    assert re.fullmatch(r"call_[0-9a-f]{10}[_-][A-Za-z0-9_-]+", ours)


@pytest.mark.parametrize("upstream_id", ["call_31618866", "toolu_vrtx_01A", "x" * 64])
def test_a_plain_upstream_id_stays_readable(upstream_id: str) -> None:
    assert mint(upstream_id).endswith(f"_{upstream_id}")


def test_ids_are_unique_where_the_upstream_repeats_itself() -> None:
    assert len({mint("getWeather:0") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("upstream_id", [None, ""])
def test_a_call_without_an_upstream_id_keeps_ours(upstream_id: str | None) -> None:
    ours = mint(upstream_id)
    assert re.fullmatch(r"call_[0-9a-f]{10}", ours)
    assert original(ours) == ours


@given(st.text(max_size=80))
def test_a_foreign_id_is_left_alone(foreign: str) -> None:
    if not foreign.startswith("call_"):
        assert original(foreign) == foreign


@pytest.mark.parametrize(
    "foreign",
    [
        "call_31618866",
        "call_0123456789",
        "call_0123456789-!",
        "call_0123456789-_w",
        "call_0123456789-A",
        "call_0123456789-QQR",
    ],
)
def test_an_id_that_only_looks_like_ours_is_left_alone(foreign: str) -> None:
    assert original(foreign) == foreign


def test_half_a_surrogate_pair_makes_no_unsendable_id() -> None:
    assert mint("\ud83d").isascii()
