"""Which key comes next, by the name of the strategy."""

from __future__ import annotations

import pytest

from service.errors import Failure, Kind
from service.keys.pool import Pool
from service.keys.strategy import MOST_SESSIONS, SESSION_SECONDS, STRATEGIES, Sticky
from service.settings import SettingsError, load
from tests.clock import Clock
from tests.keys.clock import pool_of, take

LIMITED = Failure(Kind.RATE_LIMITED, "slow", retry_after=30)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pool_by(name: str, clock: Clock, *keys: str, **options: int) -> Pool:
    """A pool with a strategy."""
    return pool_of(clock, *keys, choose=STRATEGIES[name](), **options)


def test_the_three_strategies_have_names() -> None:
    assert set(STRATEGIES) == {"round_robin", "least_busy", "sticky"}
    assert [load({"KEY_STRATEGY": name}).key_strategy for name in STRATEGIES] == list(STRATEGIES)
    with pytest.raises(SettingsError, match="KEY_STRATEGY"):
        load({"KEY_STRATEGY": "random"})


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_uses_all_keys_and_avoids_what_it_must(clock: Clock, name: str) -> None:
    pool = pool_by(name, clock, "a/1", "a/2", "b", "c")
    assert {take(pool).key.name for _ in range(12)} == {"a/1", "a/2", "b", "c"}
    assert {take(pool, avoid={"b", "a/1"}).key.name for _ in range(12)} == {"a/2", "c"}
    for each in ("b", "c"):
        take(pool, avoid={"a/1", "a/2", "b", "c"} - {each}).failed(LIMITED)
    assert {take(pool).key.name for _ in range(12)} == {"a/1", "a/2"}


def test_the_least_busy_key_has_the_fewest_open_leases(clock: Clock) -> None:
    pool = pool_by("least_busy", clock, "a", "b", "c")
    leases = {lease.key.name: lease for lease in (take(pool), take(pool), take(pool))}
    assert set(leases) == {"a", "b", "c"}
    leases["b"].succeeded()
    assert take(pool).key.name == "b"
    leases["c"].cancelled()
    leases["a"].failed(Failure(Kind.BROKEN, "oops"))
    assert {take(pool).key.name, take(pool).key.name} == {"a", "c"}


def test_the_busy_key_of_an_account_makes_its_siblings_wait(clock: Clock) -> None:
    pool = pool_by("least_busy", clock, "a/1", "a/2", "b")
    first, second = take(pool), take(pool)
    assert {first.key.account, second.key.account} == {"a", "b"}
    third, fourth = take(pool), take(pool)
    assert sorted([third.key.account, fourth.key.account]) == ["a", "b"]
    used = [lease.key.name for lease in (first, second, third, fourth) if lease.key.account == "a"]
    assert sorted(used) == ["a/1", "a/2"]


def test_among_equals_the_turn_decides(clock: Clock) -> None:
    pool = pool_by("least_busy", clock, "a", "b", "c")
    used = []
    for _ in range(6):
        lease = take(pool)
        used.append(lease.key.name)
        lease.succeeded()
    assert used == ["a", "b", "c", "a", "b", "c"]


def test_a_conversation_stays_on_its_key(clock: Clock) -> None:
    pool = pool_by("sticky", clock, "a", "b", "c")
    first = [take(pool, session=f"s{number}").key.name for number in range(3)]
    assert sorted(first) == ["a", "b", "c"]
    for _ in range(4):
        take(pool)
        assert [take(pool, session=f"s{number}").key.name for number in range(3)] == first


def test_requests_of_no_conversation_take_turns(clock: Clock) -> None:
    pool = pool_by("sticky", clock, "a", "b")
    assert [take(pool).key.name for _ in range(4)] == ["a", "b", "a", "b"]


def test_a_conversation_moves_when_its_key_cannot_serve_it_and_stays_there(clock: Clock) -> None:
    pool = pool_by("sticky", clock, "a", "b", "c")
    first = take(pool, session="s")
    first.failed(LIMITED)
    second = take(pool, session="s").key.name
    assert second != first.key.name
    clock.forward(60)
    assert [take(pool, session="s").key.name for _ in range(3)] == [second] * 3


def test_a_conversation_that_has_used_up_its_accounts_rate_moves(clock: Clock) -> None:
    pool = pool_by("sticky", clock, "a", "b", limit_per_minute=2)
    assert [take(pool, session="s").key.name for _ in range(4)] == ["a", "a", "b", "b"]


def test_a_conversation_is_forgotten_after_a_long_pause(clock: Clock) -> None:
    pool = pool_by("sticky", clock, "a", "b")
    assert take(pool, session="s").key.name == "a"
    clock.forward(SESSION_SECONDS)
    assert take(pool, session="s").key.name == "a"
    clock.forward(SESSION_SECONDS + 1)
    assert take(pool, session="s").key.name == "b"


def test_conversations_that_are_remembered_are_bounded(clock: Clock) -> None:
    sticky = Sticky()
    pool = pool_of(clock, "a", "b", choose=sticky)
    first = take(pool, session="first").key.name
    for number in range(MOST_SESSIONS - 1):
        take(pool, session=str(number)).succeeded()
    assert take(pool, session="first").key.name == first
    for number in range(50):
        take(pool, session=f"more-{number}")
    assert len(sticky) == MOST_SESSIONS
    assert "first" in sticky._sessions
    assert "0" not in sticky._sessions


def test_conversations_that_ended_make_room_as_others_go_on(clock: Clock) -> None:
    sticky = Sticky()
    pool = pool_of(clock, "a", choose=sticky)
    for number in range(5):
        take(pool, session=str(number))
    clock.forward(SESSION_SECONDS + 1)
    for _ in range(5):
        take(pool, session="new")
    assert list(sticky._sessions) == ["new"]
