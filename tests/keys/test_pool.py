"""Keys are leased round robin, what Poe refuses rests for as long as stated, and an empty pool says the truth."""

from __future__ import annotations

import pytest

from service.errors import Failure, Kind
from service.keys.account import MOST_RESTS
from service.keys.pool import Pool
from service.keys.refusal import NoOtherKey
from tests.clock import Clock
from tests.keys.clock import key, names, pool_of, refused, take


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limited(retry_after: float | None = None, *, account_wide: bool = False) -> Failure:
    return Failure(Kind.RATE_LIMITED, "slow down", status=429, retry_after=retry_after, account_wide=account_wide)


DRY = Failure(Kind.DRY, "no points", status=402)
REVOKED = Failure(Kind.KEY_REVOKED, "bad key", status=401)
NOT_COVERED = Failure(Kind.NOT_COVERED, "not in your plan", status=403)


def test_keys_take_turns_over_accounts_and_then_within_them(clock: Clock) -> None:
    assert names(pool_of(clock, "a", "b", "c"), 6) == ["a", "b", "c", "a", "b", "c"]
    pool = pool_of(clock, "a/1", "a/2", "a/3", "b")
    assert names(pool, 8) == ["a/1", "b", "a/2", "b", "a/3", "b", "a/1", "b"]


def test_the_load_of_a_resting_account_spreads_over_all_others(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b", "c")
    take(pool).failed(DRY)
    assert names(pool, 4) == ["b", "c", "b", "c"]


def test_a_key_to_avoid_is_not_leased(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    assert {take(pool, avoid={"a"}).key.name for _ in range(3)} == {"b"}


def test_when_only_avoidance_stands_in_the_way_it_says_so(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    take(pool).failed(limited())
    said = refused(pool, avoid={"b"})
    assert isinstance(said, NoOtherKey)
    assert (said.status, said.code) == (502, "upstream_error")


def test_a_rate_limit_rests_one_key_for_one_model(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2")
    take(pool, "gpt").failed(limited(30))
    assert names(pool, 3, "gpt") == ["a/2", "a/2", "a/2"]
    assert set(names(pool, 2, "claude")) == {"a/1", "a/2"}
    assert pool.states() == {"a/1": "limited", "a/2": "usable"}
    assert (pool.usable_count("gpt"), pool.usable_count("claude")) == (1, 2)


def test_the_time_that_poe_names_is_kept_to_the_moment(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool).failed(limited(30))
    clock.forward(29.9)
    said = refused(pool)
    assert (said.status, said.code, said.type, said.should_retry) == (
        429,
        "upstream_rate_limited",
        "rate_limit_error",
        True,
    )
    assert said.retry_after == pytest.approx(0.1)
    clock.forward(0.1)
    assert take(pool).key.name == "a"


@pytest.mark.parametrize(("told", "kept"), [(7200, 3600), (700, 700), (0, 0.1), (-5, 0.1)])
def test_the_time_that_poe_names_is_bounded_by_an_hour_and_not_by_ours(clock: Clock, told: float, kept: float) -> None:
    pool = pool_of(clock, "a", rest_max=10)
    take(pool).failed(limited(told))
    assert refused(pool).retry_after == pytest.approx(kept)


def test_a_newer_time_of_poe_shortens_a_rest(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    early, late = take(pool), take(pool)
    early.failed(limited(100))
    clock.forward(1)
    late.failed(limited(3))
    assert refused(pool).retry_after == pytest.approx(3)


def test_without_a_time_rests_grow_from_two_seconds_to_the_longest(clock: Clock) -> None:
    pool = pool_of(clock, "a", rest_max=12)
    rests = []
    for _ in range(5):
        take(pool).failed(limited())
        rests.append(refused(pool).retry_after)
        clock.forward(rests[-1] or 0)
    assert rests == pytest.approx([2, 4, 8, 12, 12])


def test_a_shorter_longest_rest_bounds_the_first(clock: Clock) -> None:
    pool = pool_of(clock, "a", rest_max=0.5)
    take(pool).failed(limited())
    assert refused(pool).retry_after == pytest.approx(0.5)


@pytest.mark.parametrize("outcome", ["accepted", "succeeded"])
def test_a_success_makes_the_next_rest_small_again(clock: Clock, outcome: str) -> None:
    pool = pool_of(clock, "a")
    for _ in range(3):
        take(pool).failed(limited())
        clock.forward(60)
    getattr(take(pool), outcome)()
    take(pool).failed(limited())
    assert refused(pool).retry_after == pytest.approx(2)


def test_after_ten_quiet_minutes_a_rest_is_small_again(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    for _ in range(3):
        take(pool).failed(limited())
        clock.forward(60)
    clock.forward(600)
    take(pool).failed(limited())
    assert refused(pool).retry_after == pytest.approx(2)


def test_requests_refused_together_make_one_refusal(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    for lease in [take(pool) for _ in range(10)]:
        lease.failed(limited())
        clock.forward(0.1)
    assert refused(pool).retry_after == pytest.approx(1.9)
    clock.forward(2)
    take(pool).failed(limited())
    assert refused(pool).retry_after == pytest.approx(4)


def test_a_success_that_set_out_before_the_refusal_lifts_nothing(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    old = take(pool)
    clock.forward(1)
    take(pool).failed(limited(30))
    clock.forward(1)
    old.succeeded()
    assert refused(pool).retry_after == pytest.approx(29)


def test_two_models_refused_within_ten_seconds_rest_the_account(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2", "b")
    take(pool, "gpt").failed(limited(30))
    clock.forward(10)
    take(pool, "claude", avoid={"b"}).failed(limited(20))
    assert names(pool, 3, "o3") == ["b", "b", "b"]
    assert pool.states() == {"a/1": "resting", "a/2": "resting", "b": "usable"}
    clock.forward(20)
    assert pool.states() == {"a/1": "usable", "a/2": "usable", "b": "usable"}


def test_two_models_refused_further_apart_do_not_rest_the_account(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool, "gpt").failed(limited(30))
    clock.forward(10.1)
    take(pool, "claude").failed(limited(30))
    assert take(pool, "o3").key.name == "a"


def test_one_model_refused_twice_does_not_rest_the_account(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2")
    take(pool, "gpt").failed(limited(30))
    take(pool, "gpt").failed(limited(30))
    assert take(pool, "o3").key.account == "a"


def test_a_success_between_keeps_the_account_in_use(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool, "gpt").failed(limited(30))
    clock.forward(1)
    take(pool, "o3").succeeded()
    take(pool, "claude").failed(limited(30))
    assert take(pool, "o3").key.name == "a"


def test_a_limit_that_poe_calls_the_accounts_rests_it_at_once(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2", "b")
    take(pool, "gpt").failed(limited(30, account_wide=True))
    assert names(pool, 2, "o3") == ["b", "b"]


def test_rests_of_an_account_grow_and_a_success_makes_them_small_again(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    rests = []
    for number in range(5):
        if number == 3:
            take(pool, "other").succeeded()
        take(pool, f"model-{number}").failed(limited(account_wide=True))
        rests.append(refused(pool, "another").retry_after)
        clock.forward(60)
    assert rests == pytest.approx([2, 4, 8, 2, 4])


def test_no_points_rest_the_whole_account_until_a_probe_sees_some(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2", "b")
    take(pool).failed(DRY)
    assert names(pool, 2) == ["b", "b"]
    assert pool.states() == {"a/1": "dry", "a/2": "dry", "b": "usable"}
    clock.forward(100_000)
    assert names(pool, 2) == ["b", "b"]
    pool.balance_seen("a/2", 0, asked=clock.now)
    assert names(pool, 1) == ["b"]
    pool.balance_seen("a/2", 5, asked=clock.now)
    assert names(pool, 4) == ["a/2", "b", "a/1", "b"]
    assert pool.points() == {"a/1": 5, "a/2": 5}


def test_a_revoked_key_rests_alone_until_a_probe_is_answered(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2")
    take(pool).failed(REVOKED)
    assert pool.states() == {"a/1": "revoked", "a/2": "usable"}
    assert names(pool, 2) == ["a/2", "a/2"]
    pool.balance_seen("a/1", 0, asked=clock.now)
    assert set(names(pool, 2)) == {"a/1", "a/2"}


def probe_times(pool: Pool, clock: Clock, name: str, count: int) -> list[float]:
    """After how many seconds each of the next probes is due; all of them fail."""
    waits = []
    for _ in range(count):
        wait = pool.next_probe()
        clock.forward(wait - 0.001)
        assert pool.due() == ()
        clock.forward(0.001)
        assert [spec.name for spec in pool.due()] == [name]
        pool.balance_refused(name, Failure(Kind.UNREACHABLE, "away"), asked=clock.now)
        waits.append(wait)
    return waits


def test_probes_of_a_revoked_key_grow_from_15_seconds_to_10_minutes(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    take(pool).failed(REVOKED)
    assert probe_times(pool, clock, "a", 8) == pytest.approx([15, 30, 60, 120, 240, 480, 600, 600])


def test_probes_of_a_dry_account_grow_from_60_seconds_to_10_minutes(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2")
    take(pool).failed(DRY)
    assert probe_times(pool, clock, "a/2", 6) == pytest.approx([60, 120, 240, 480, 600, 600])


def test_an_empty_balance_puts_the_next_probe_off(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool).failed(DRY)
    clock.forward(60)
    pool.balance_seen("a", 0, asked=clock.now)
    assert pool.next_probe() == pytest.approx(120)


def test_a_good_balance_that_does_not_help_makes_the_next_probe_later(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    waits = []
    for _ in range(3):
        take(pool).failed(DRY)
        waits.append(pool.next_probe())
        clock.forward(waits[-1])
        pool.balance_seen("a", 100, asked=clock.now)
        clock.forward(1)
    assert waits == pytest.approx([60, 120, 240])
    take(pool).succeeded()
    take(pool).failed(DRY)
    assert pool.next_probe() == pytest.approx(60)


def test_a_success_makes_the_next_probe_of_a_revoked_key_early_again(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    waits = []
    for _ in range(3):
        take(pool).failed(REVOKED)
        waits.append(pool.next_probe())
        clock.forward(1)
        pool.balance_seen("a", 100, asked=clock.now)
        clock.forward(1)
    take(pool).succeeded()
    take(pool).failed(REVOKED)
    assert [*waits, pool.next_probe()] == pytest.approx([15, 30, 60, 15])


def test_a_probe_before_its_time_does_not_put_the_next_one_off(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool).failed(REVOKED)
    clock.forward(5)
    pool.balance_refused("a", Failure(Kind.UNREACHABLE, "away"), asked=clock.now)
    assert pool.next_probe() == pytest.approx(10)


def test_a_poll_that_is_told_of_no_points_rests_the_account(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    pool.balance_refused("a", DRY, asked=clock.now)
    assert pool.states() == {"a": "dry"}
    pool.balance_seen("a", 1, asked=clock.now)
    assert pool.states() == {"a": "usable"}


def test_a_dry_account_is_probed_with_a_key_that_works(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2")
    first, second = take(pool), take(pool)
    first.failed(REVOKED)
    second.failed(DRY)
    clock.forward(60)
    assert sorted(spec.name for spec in pool.due()) == ["a/1", "a/2"]


def test_a_dry_account_without_a_working_key_waits_for_one(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    first, second = take(pool), take(pool)
    first.failed(DRY)
    second.failed(REVOKED)
    assert pool.next_probe() == pytest.approx(15)
    clock.forward(14)
    assert pool.due() == ()


def test_news_older_than_the_trouble_does_not_end_it(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    asked = clock.now
    clock.forward(1)
    take(pool).failed(DRY)
    pool.balance_seen("a", 100, asked=asked)
    assert pool.states() == {"a": "dry"}
    assert pool.points() == {"a": 100}


def test_trouble_older_than_the_good_news_does_not_begin_again(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    old = take(pool)
    take(pool).failed(REVOKED)
    clock.forward(15)
    pool.balance_seen("a", 100, asked=clock.now)
    old.failed(REVOKED)
    assert pool.states() == {"a": "usable"}


def test_a_poll_finds_a_revoked_key_before_any_caller_does(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    pool.balance_refused("a", REVOKED, asked=clock.now)
    assert names(pool, 2) == ["b", "b"]


def test_a_poll_that_cannot_reach_poe_changes_nothing(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    for kind in (Kind.UNREACHABLE, Kind.SILENT, Kind.BROKEN, Kind.RATE_LIMITED):
        pool.balance_refused("a", Failure(kind, "away"), asked=clock.now)
    assert pool.states() == {"a": "usable"}


def test_a_model_that_the_plan_lacks_rests_for_an_hour_on_that_key(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    take(pool, "gpt").failed(NOT_COVERED)
    assert names(pool, 2, "gpt") == ["b", "b"]
    take(pool, "gpt").failed(NOT_COVERED)
    said = refused(pool, "gpt")
    assert (said.status, said.code, said.param, said.should_retry) == (404, "model_not_available", "model", False)
    assert said.retry_after is None
    clock.forward(3600)
    assert take(pool, "gpt")


def test_a_late_rate_limit_does_not_shorten_what_the_plan_lacks(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    late = take(pool)
    take(pool).failed(NOT_COVERED)
    late.failed(limited(1))
    clock.forward(2)
    assert refused(pool).code == "model_not_available"


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.RATE_LIMITED, Kind.DRY, Kind.KEY_REVOKED, Kind.NOT_COVERED}))
def test_a_failure_that_is_not_the_keys_own_never_touches_it(clock: Clock, kind: Kind) -> None:
    pool = pool_of(clock, "a")
    for _ in range(30):
        take(pool).failed(Failure(kind, "no", status=400, retry_after=60))
    assert pool.states() == {"a": "usable"}
    assert take(pool).key.name == "a"


def test_every_account_dry_is_402(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    take(pool).failed(DRY)
    take(pool).failed(DRY)
    said = refused(pool)
    assert (said.status, said.type, said.code, said.should_retry) == (
        402,
        "insufficient_quota",
        "insufficient_points",
        False,
    )


def test_every_key_revoked_is_503_until_the_next_probe(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b")
    take(pool).failed(REVOKED)
    clock.forward(5)
    take(pool).failed(REVOKED)
    said = refused(pool)
    assert (said.status, said.type, said.code, said.should_retry) == (503, "server_error", "no_usable_key", False)
    assert said.retry_after == pytest.approx(10)
    clock.forward(60)
    assert refused(pool).retry_after == pytest.approx(1)


def test_the_reason_that_passes_soonest_speaks(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b", "c", "d")
    take(pool).failed(NOT_COVERED)
    take(pool).failed(REVOKED)
    take(pool).failed(DRY)
    take(pool).failed(limited(3000))
    assert (refused(pool).status, refused(pool).retry_after) == (429, pytest.approx(3000))
    pool.balance_refused("d", REVOKED, asked=clock.now)
    assert refused(pool).status == 402
    pool.balance_refused("c", REVOKED, asked=clock.now)
    assert refused(pool).status == 503


def test_the_soonest_of_all_rests_is_told(clock: Clock) -> None:
    pool = pool_of(clock, "a", "b", "c")
    for seconds in (50, 20, 90):
        take(pool).failed(limited(seconds))
    assert refused(pool).retry_after == pytest.approx(20)


def test_a_key_that_rests_twice_is_told_by_the_longer_rest(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    first, second = take(pool, "gpt"), take(pool, "o3")
    first.failed(limited(50))
    second.failed(limited(20, account_wide=True))
    assert refused(pool, "gpt").retry_after == pytest.approx(50)
    assert refused(pool, "o3").retry_after == pytest.approx(20)


def test_only_the_first_outcome_of_a_lease_counts(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    lease = take(pool)
    assert pool.open_leases == 1
    lease.cancelled()
    lease.failed(REVOKED)
    lease.failed(DRY)
    lease.succeeded()
    assert (pool.open_leases, pool.states()) == (0, {"a": "usable"})
    failing = take(pool)
    failing.failed(limited(30))
    failing.succeeded()
    failing.failed(limited(1))
    assert refused(pool).retry_after == pytest.approx(30)
    assert pool.open_leases == 0


def test_a_caller_who_leaves_says_nothing_of_the_key(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool).failed(limited())
    clock.forward(2)
    take(pool).cancelled()
    take(pool).failed(limited())
    assert refused(pool).retry_after == pytest.approx(4)


def test_a_key_remembers_a_bounded_number_of_rests(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    for number in range(MOST_RESTS + 3):
        clock.forward(0.001)
        take(pool, f"model-{number}").failed(NOT_COVERED)
    resting = [number for number in range(MOST_RESTS + 3) if pool.usable_count(f"model-{number}") == 0]
    assert resting == list(range(3, MOST_RESTS + 3))


def test_what_no_longer_matters_makes_room_first(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    for number in range(MOST_RESTS):
        take(pool, f"model-{number}").failed(NOT_COVERED)
    clock.forward(3600 + 601)
    take(pool, "new").failed(NOT_COVERED)
    assert list(pool._keys["a"].rests) == ["new"]


def test_rests_that_ended_long_ago_are_forgotten(clock: Clock) -> None:
    pool = pool_of(clock, "a")
    take(pool).failed(limited(30))
    held = pool._keys["a"].rests
    clock.forward(629)
    pool.forget()
    assert "m" in held
    clock.forward(2)
    pool.forget()
    assert held == {}


def test_probation_is_told_to_whoever_probes(clock: Clock) -> None:
    told: list[float] = []
    pool = pool_of(clock, "a", "b", "c")
    pool.on_probation = lambda: told.append(clock.now)
    take(pool).failed(limited())
    assert told == []
    take(pool).failed(REVOKED)
    late = take(pool)
    take(pool).failed(DRY)
    late.failed(DRY)
    assert len(told) == 2


def test_a_pool_needs_keys_with_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="needs keys"):
        Pool([], rest_max=1)
    with pytest.raises(ValueError, match="needs keys"):
        Pool([key("a"), key("a")], rest_max=1)
