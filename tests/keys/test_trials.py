"""What comes back from a rest is tried by one request, and the others follow when that one is not refused."""

from __future__ import annotations

import pytest

from service.errors import Failure, Kind
from service.keys.pool import Pool
from service.keys.rest import TRIAL_SECONDS
from tests.clock import Clock
from tests.faults.clock_loop import ClockLoop
from tests.keys.clock import key, names, pool_of, refused, take
from tests.keys.scene import Scene, limited, on_a_fake_clock, refusal_of

DRY = Failure(Kind.DRY, "no points", status=402)
REVOKED = Failure(Kind.KEY_REVOKED, "bad key", status=401)
BROKEN = Failure(Kind.BROKEN, "oops", status=500)
TROUBLES = ["model", "account", "dry", "revoked", "uncovered"]


def recovered(trouble: str, clock: Clock, *others: str) -> Pool:
    """A pool whose key `a` has just come back from some trouble; its queue is closed."""
    pool = pool_of(clock, "a", *others, queue_length=0)
    lease = take(pool, avoid=set(others))
    match trouble:
        case "model":
            lease.failed(limited(7))
        case "account":
            lease.failed(limited(7, account_wide=True))
        case "dry":
            lease.failed(DRY)
        case "revoked":
            lease.failed(REVOKED)
        case "uncovered":
            lease.failed(Failure(Kind.NOT_COVERED, "not in your plan"))
    clock.forward(3600 if trouble == "uncovered" else 7)
    if trouble in ("dry", "revoked"):
        pool.balance_seen("a", 100, asked=clock.now)
    return pool


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_one_request_tries_what_came_back_and_the_others_go_elsewhere(clock: Clock, trouble: str) -> None:
    pool = recovered(trouble, clock, "b")
    taken = [take(pool).key.name for _ in range(10)]
    assert (taken.count("a"), taken.count("b")) == (1, 9)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_with_nothing_else_the_others_are_told_when_the_next_may_try(clock: Clock, trouble: str) -> None:
    pool = recovered(trouble, clock)
    take(pool)
    clock.forward(1)
    said = refused(pool)
    assert (said.status, said.code) == (429, "upstream_rate_limited")
    assert said.retry_after == pytest.approx(TRIAL_SECONDS - 1)
    assert pool.soonest("m") == pytest.approx(TRIAL_SECONDS - 1)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("outcome", ["accepted", "succeeded"])
def test_a_success_lets_all_follow(clock: Clock, trouble: str, outcome: str) -> None:
    pool = recovered(trouble, clock)
    trial = take(pool)
    clock.forward(1)
    getattr(trial, outcome)()
    assert [take(pool).key.name for _ in range(10)] == ["a"] * 10


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_trial_that_is_given_up_frees_its_place_and_proves_nothing(clock: Clock, trouble: str) -> None:
    pool = recovered(trouble, clock)
    for end in ("cancelled", "unused"):
        getattr(take(pool), end)()
    take(pool).failed(BROKEN)
    take(pool)
    assert refused(pool).status == 429


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_trial_that_takes_long_lets_one_more_try(clock: Clock, trouble: str) -> None:
    pool = recovered(trouble, clock)
    first = take(pool)
    clock.forward(TRIAL_SECONDS)
    second = take(pool)
    first.cancelled()
    assert refused(pool).status == 429
    second.succeeded()
    assert [take(pool).key.name for _ in range(3)] == ["a"] * 3


def test_a_trial_that_is_refused_rests_again_and_for_longer(clock: Clock) -> None:
    pool = pool_of(clock, "a", queue_length=0)
    take(pool).failed(limited())
    clock.forward(2)
    take(pool).failed(limited())
    assert refused(pool).retry_after == pytest.approx(4)
    clock.forward(4)
    take(pool)
    assert refused(pool).retry_after == pytest.approx(TRIAL_SECONDS)


def test_a_trial_of_one_model_is_none_of_another(clock: Clock) -> None:
    pool = recovered("model", clock)
    take(pool)
    assert [take(pool, "other").key.name for _ in range(5)] == ["a"] * 5


def test_a_trial_of_an_account_covers_all_of_its_keys(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2", queue_length=0)
    take(pool).failed(limited(7, account_wide=True))
    clock.forward(7)
    take(pool, "any")
    assert refused(pool, "other").status == 429


def test_a_trial_of_a_key_leaves_its_siblings_alone(clock: Clock) -> None:
    pool = pool_of(clock, "a/1", "a/2", queue_length=0)
    take(pool).failed(REVOKED)
    pool.balance_seen("a/1", 100, asked=clock.now)
    assert sorted(take(pool).key.name for _ in range(5)) == ["a/1", "a/2", "a/2", "a/2", "a/2"]


@pytest.mark.parametrize("kind", [Kind.DRY, Kind.KEY_REVOKED])
def test_a_rest_that_ends_within_a_trial_is_told_with_the_end_of_the_trial(clock: Clock, kind: Kind) -> None:
    """Of another model's rest: until then nobody can be served, whatever has ended before."""
    pool = pool_of(clock, "a")
    first, second = take(pool, "one"), take(pool, "two")
    first.failed(Failure(kind, "no"))
    clock.forward(3)
    pool.balance_seen("a", 7, asked=clock.now)
    take(pool, "one")
    second.failed(limited(1))
    assert refused(pool, "two").retry_after == pytest.approx(TRIAL_SECONDS)
    clock.forward(TRIAL_SECONDS + 0.001)
    assert pool.usable_count("two") == 1


def test_what_was_on_its_way_before_the_rest_proves_nothing(clock: Clock) -> None:
    pool = pool_of(clock, "a", queue_length=0)
    old = take(pool)
    clock.forward(1)
    take(pool).failed(limited(7))
    clock.forward(7)
    old.succeeded()
    take(pool)
    assert refused(pool).status == 429


def test_a_rest_that_is_long_over_is_forgotten_with_its_trial(clock: Clock) -> None:
    pool = recovered("model", clock)
    clock.forward(601)
    pool.forget()
    assert names(pool, 3) == ["a"] * 3
    assert not pool._keys["a"].troubled


def test_a_key_without_trouble_behind_it_is_not_looked_at_twice(clock: Clock) -> None:
    pool = recovered("account", clock)
    take(pool).succeeded()
    assert not pool._keys["a"].troubled
    assert not pool._keys["a"].account.troubled
    assert take(pool).trials is None


@on_a_fake_clock
async def test_who_waits_for_a_trial_follows_its_success(loop: ClockLoop) -> None:
    scene = Scene(loop, limit_per_minute=100)
    take(scene.pool).failed(limited(2))
    loop.forward(2)
    trial = take(scene.pool)
    jobs = [scene.ask(number) for number in range(5)]
    await scene.settled()
    assert scene.order == []
    trial.accepted()
    await scene.settled()
    assert scene.order == [0, 1, 2, 3, 4]
    assert all(job.done() for job in jobs)


@on_a_fake_clock
async def test_a_trial_that_is_cancelled_passes_to_the_next_in_line(loop: ClockLoop) -> None:
    scene = Scene(loop, limit_per_minute=100)
    take(scene.pool).failed(limited(2))
    loop.forward(2)
    trial = take(scene.pool)
    jobs = [scene.ask(number) for number in range(2)]
    await scene.settled()
    trial.cancelled()
    await scene.settled()
    assert scene.order == [0]
    scene.leases[0].succeeded()
    await scene.settled()
    assert scene.order == [0, 1]
    assert all(job.done() for job in jobs)


@on_a_fake_clock
async def test_who_waits_for_a_trial_that_is_refused_is_told_the_truth(loop: ClockLoop) -> None:
    scene = Scene(loop, limit_per_minute=100)
    take(scene.pool).failed(limited(2))
    loop.forward(2)
    trial = take(scene.pool)
    job = scene.ask()
    await scene.settled()
    trial.failed(limited(30))
    said = await refusal_of(job)
    assert (said.status, said.retry_after) == (429, pytest.approx(30))


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 1.0])
def test_rests_without_a_time_of_poe_are_spread_and_still_bounded(clock: Clock, chance: float) -> None:
    pool = Pool([key("a")], rest_max=12, clock=clock, chance=lambda: chance)
    rests = []
    for _ in range(4):
        take(pool).failed(limited())
        rests.append(refused(pool).retry_after)
        clock.forward(rests[-1] or 0)
    share = 0.8 + 0.4 * chance
    assert rests == pytest.approx([2 * share, 4 * share, 8 * share, min(12 * share, 12)])


def test_rests_that_poe_names_are_not_spread(clock: Clock) -> None:
    pool = Pool([key("a")], rest_max=12, clock=clock, chance=lambda: 1.0)
    take(pool).failed(limited(30))
    assert refused(pool).retry_after == pytest.approx(30)
