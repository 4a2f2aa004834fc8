"""Whatever JSON a caller or a provider sent can be written again."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.writing import as_json, sound_text


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("plain", "plain"),
        ("ünï 🙂", "ünï 🙂"),
        ("\ud83d\ude42", "🙂"),
        ("a\ud83d", "a\ufffd"),
        ("\ude42b", "\ufffdb"),
    ],
)
def test_halves_of_pairs_are_put_together_or_replaced(text: str, sound: str) -> None:
    assert sound_text(text) == sound
    assert orjson.loads(as_json({text: [text]})) == {sound: [sound]}


def test_large_integers_become_floats() -> None:
    assert orjson.loads(as_json([2**64, -(2**70), 2**64 - 1, True])) == [2.0**64, -(2.0**70), 2**64 - 1, True]
    assert orjson.loads(as_json([10**5000])) == [None]


def test_nesting_has_an_end() -> None:
    deep: Any = "x"
    for _ in range(3000):
        deep = [deep]
    assert as_json(deep).count(b"[") < 300


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_anything_can_be_written(value: Any) -> None:
    written = as_json(json.loads(json.dumps(value)))
    orjson.loads(written)
    try:
        assert written == orjson.dumps(value)
    except TypeError:
        return
