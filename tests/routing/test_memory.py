"""Memory: a map that forgets."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.routing.memory import Memory


def test_a_value_is_there_until_its_time_is_over(clock: Any) -> None:
    memory: Memory[str, int] = Memory(ttl_seconds=10, limit=5, clock=clock)
    memory.put("a", 1)
    clock.now += 9.9
    assert memory.get("a") == 1
    clock.now += 0.1
    assert memory.get("a") is None
    assert len(memory) == 0


def test_putting_again_starts_the_time_anew(clock: Any) -> None:
    memory: Memory[str, int] = Memory(ttl_seconds=10, limit=5, clock=clock)
    memory.put("a", 1)
    clock.now += 9
    memory.put("a", 2)
    clock.now += 9
    assert (memory.get("a"), memory.age("a")) == (2, 9)


def test_the_one_put_longest_ago_goes_first(clock: Any) -> None:
    memory: Memory[str, int] = Memory(ttl_seconds=10, limit=2, clock=clock)
    for key in ("a", "b", "a", "c"):
        memory.put(key, 0)
    assert [key for key in "abc" if memory.get(key) is not None] == ["a", "c"]


def test_what_is_forgotten_is_gone(clock: Any) -> None:
    memory: Memory[str, int] = Memory(ttl_seconds=10, limit=2, clock=clock)
    memory.put("a", 1)
    memory.forget("a")
    memory.forget("never there")
    assert memory.age("a") is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 20))
def test_it_never_holds_more_than_its_limit(keys: list[int], limit: int) -> None:
    memory: Memory[int, int] = Memory(ttl_seconds=10, limit=limit)
    for key in keys:
        memory.put(key, key)
        assert len(memory) <= limit
        assert memory.get(key) == key
