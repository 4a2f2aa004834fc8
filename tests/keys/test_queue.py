"""What comes too soon waits its turn: first come, first served, bounded, and left at once by whoever gives up."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from service.errors import Failure, Kind
from service.keys.refusal import NoOtherKey
from tests.faults.clock_loop import ClockLoop
from tests.keys.clock import refused, take
from tests.keys.scene import Scene, limited, on_a_fake_clock, refusal_of

REVOKED = Failure(Kind.KEY_REVOKED, "bad key", status=401)
DRY = Failure(Kind.DRY, "no points", status=402)


@on_a_fake_clock
async def test_who_comes_too_soon_gets_the_slot_when_it_is_free(loop: ClockLoop) -> None:
    scene = Scene(loop)
    began = loop.time()
    scene.use_up()
    await scene.ask("late")
    assert scene.served == [("late", pytest.approx(began + 60, abs=0.01))]
    assert scene.leases[0].waited_seconds == pytest.approx(60, abs=0.01)
    assert scene.pool.waiting == 0


@on_a_fake_clock
async def test_who_need_not_wait_has_not_waited(loop: ClockLoop) -> None:
    scene = Scene(loop)
    assert take(scene.pool).waited_seconds == 0.0


@on_a_fake_clock
async def test_the_line_is_served_in_order_as_slots_come_free(loop: ClockLoop) -> None:
    scene = Scene(loop)
    began = loop.time()
    scene.use_up(1)
    await asyncio.sleep(10)
    scene.use_up(1)
    await asyncio.gather(scene.ask(1), scene.ask(2))
    assert scene.served == [(1, pytest.approx(began + 60, abs=0.01)), (2, pytest.approx(began + 70, abs=0.01))]


@on_a_fake_clock
async def test_nobody_who_comes_later_overtakes_the_line(loop: ClockLoop) -> None:
    scene = Scene(loop, limit_per_minute=1)
    scene.use_up(1)
    first = scene.ask("first")
    await scene.settled()
    loop.forward(60.5)  # the slot is free, and the timer has not run yet
    second = scene.ask("second")
    await asyncio.gather(first, second, scene.ask("third"))
    assert scene.order == ["first", "second", "third"]


@on_a_fake_clock
async def test_who_can_be_served_need_not_wait_for_who_cannot(loop: ClockLoop) -> None:
    scene = Scene(loop, "a", "b")
    scene.use_up(4)
    stuck = scene.ask("stuck", avoid=frozenset({"b"}))
    other = scene.ask("other")
    await scene.settled()
    scene.pool._keys["b"].account.window.told(loop.time(), 99, 3, None, None)
    scene.pool._keys["b"].account.settle(loop.time())
    scene.pool.look()
    await scene.settled()
    assert scene.order == ["other"]
    await asyncio.gather(stuck, other)


@on_a_fake_clock
async def test_a_full_queue_is_refused_with_the_time_of_the_soonest_slot_that_nobody_waits_for(loop: ClockLoop) -> None:
    scene = Scene(loop, queue_length=1)
    scene.use_up(1)
    await asyncio.sleep(10)
    scene.use_up(1)
    waiting = scene.ask()
    await scene.settled()
    said = refused(scene.pool)
    assert (said.status, said.code, said.type, said.should_retry) == (
        429,
        "upstream_rate_limited",
        "rate_limit_error",
        True,
    )
    assert said.retry_after == pytest.approx(60)
    await waiting


@on_a_fake_clock
async def test_who_would_wait_for_too_long_is_told_so_at_once(loop: ClockLoop) -> None:
    scene = Scene(loop, queue_wait=10.0)
    scene.use_up()
    assert refused(scene.pool).retry_after == pytest.approx(60)
    await asyncio.sleep(50)
    jobs = [scene.ask(number) for number in range(2)]
    await scene.settled()
    assert refused(scene.pool).code == "upstream_rate_limited"  # both slots of the next ten seconds are spoken for
    await asyncio.gather(*jobs)
    assert scene.order == [0, 1]


@on_a_fake_clock
async def test_without_a_queue_nobody_waits(loop: ClockLoop) -> None:
    scene = Scene(loop, queue_length=0)
    scene.use_up()
    assert refused(scene.pool).retry_after == pytest.approx(60)


@on_a_fake_clock
async def test_a_slot_that_does_not_come_as_foreseen_ends_in_a_refusal_in_time(loop: ClockLoop) -> None:
    scene = Scene(loop, queue_wait=20.0)
    leases = scene.use_up()
    await asyncio.sleep(45)
    job = scene.ask()
    await scene.settled()
    leases[1].rates(2, 0, 300.0)
    began = loop.time()
    said = await refusal_of(job)
    assert loop.time() - began == pytest.approx(20, abs=0.01)
    assert (said.status, said.retry_after) == (429, pytest.approx(280, abs=0.01))


@on_a_fake_clock
async def test_who_leaves_the_line_leaves_no_gap(loop: ClockLoop) -> None:
    scene = Scene(loop)
    began = loop.time()
    scene.use_up()
    jobs = [scene.ask(number) for number in range(4)]
    await scene.settled()
    jobs[0].cancel()
    jobs[2].cancel()
    await scene.settled()
    assert scene.pool.waiting == 2
    assert jobs[0].cancelled()
    await asyncio.gather(jobs[1], jobs[3])
    assert scene.served == [(1, pytest.approx(began + 60, abs=0.01)), (3, pytest.approx(began + 60, abs=0.01))]


@on_a_fake_clock
async def test_who_is_cancelled_in_the_moment_of_his_turn_gives_it_to_the_next(loop: ClockLoop) -> None:
    scene = Scene(loop)
    scene.use_up()
    first, second, third = scene.ask(1), scene.ask(2), scene.ask(3)
    await scene.settled()
    loop.forward(60.5)
    scene.pool.look()  # the first two have their turns, and have not run yet
    first.cancel()
    await scene.settled()
    assert first.cancelled()
    assert scene.order == [2, 3]
    assert scene.pool.open_leases == 4
    await asyncio.gather(second, third)


@on_a_fake_clock
async def test_who_is_cancelled_just_before_his_turn_is_passed_over(loop: ClockLoop) -> None:
    scene = Scene(loop, limit_per_minute=1)
    scene.use_up(1)
    first, second = scene.ask("first"), scene.ask("second")
    await scene.settled()
    first.cancel()
    loop.forward(60.5)
    scene.pool.look()  # before the one who was cancelled has had time to leave
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert scene.order == ["second"]
    assert scene.pool.waiting == 0


@on_a_fake_clock
async def test_who_is_cancelled_in_the_moment_of_his_refusal_just_leaves(loop: ClockLoop) -> None:
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    scene = Scene(loop)
    leases = scene.use_up()
    job = scene.ask()
    await scene.settled()
    leases[0].failed(REVOKED)
    job.cancel()
    await scene.settled()
    assert job.cancelled()
    assert scene.pool.waiting == 0
    del job
    gc.collect()
    assert problems == []


@on_a_fake_clock
async def test_a_slot_of_another_account_serves_the_line(loop: ClockLoop) -> None:
    scene = Scene(loop, "a", "b")
    began = loop.time()
    scene.use_up(1)
    await asyncio.sleep(30)
    scene.use_up(3)
    await scene.ask("any")
    assert scene.served == [("any", pytest.approx(began + 60, abs=0.01))]
    assert scene.leases[0].key.name == "a"


@on_a_fake_clock
async def test_a_rest_that_ends_serves_the_line(loop: ClockLoop) -> None:
    scene = Scene(loop, "a", "b")
    began = loop.time()
    take(scene.pool, avoid={"b"}).failed(limited(7))
    for _ in range(2):
        take(scene.pool)
    await scene.ask("any")
    assert scene.served == [("any", pytest.approx(began + 7, abs=0.01))]
    assert scene.leases[0].key.name == "a"


@on_a_fake_clock
async def test_a_probe_that_is_answered_serves_the_line(loop: ClockLoop) -> None:
    scene = Scene(loop, "a", "b")
    take(scene.pool, avoid={"b"}).failed(DRY)
    scene.use_up()
    job = scene.ask("any")
    await asyncio.sleep(5)
    scene.pool.balance_seen("a", 100, asked=loop.time())
    await scene.settled()
    assert scene.order == ["any"]
    await job


@on_a_fake_clock
async def test_word_of_poe_that_more_is_left_serves_the_line(loop: ClockLoop) -> None:
    scene = Scene(loop)
    leases = scene.use_up()
    jobs = [scene.ask(number) for number in range(3)]
    await scene.settled()
    leases[1].rates(None, 1, 30.0)
    await scene.settled()
    assert scene.order == [0]
    leases[1].rates(5, None, None)
    await asyncio.sleep(30.1)
    assert scene.order == [0, 1, 2]
    await asyncio.gather(*jobs)


@on_a_fake_clock
async def test_who_waits_for_a_key_that_is_lost_is_told_at_once(loop: ClockLoop) -> None:
    scene = Scene(loop)
    leases = scene.use_up()
    job = scene.ask()
    await scene.settled()
    began = loop.time()
    leases[0].failed(DRY)
    said = await refusal_of(job)
    assert (said.status, loop.time()) == (402, began)


@on_a_fake_clock
async def test_a_key_that_failed_this_request_is_not_waited_for_but_another_is(loop: ClockLoop) -> None:
    scene = Scene(loop, "a", "b")
    scene.use_up(4)
    job = scene.ask("other", avoid=frozenset({"a"}))
    await job
    assert scene.leases[0].key.name == "b"
    assert isinstance(refused(scene.pool, avoid={"a", "b"}), NoOtherKey)


@on_a_fake_clock
async def test_who_slept_through_a_rest_and_woke_a_little_early_is_served(loop: ClockLoop) -> None:
    scene = Scene(loop)
    take(scene.pool).failed(limited(2))
    await asyncio.sleep(scene.pool.soonest("m") - 0.004)
    await scene.ask("early")
    assert scene.order == ["early"]


@on_a_fake_clock
async def test_the_soonest_moment_of_a_key_is_known(loop: ClockLoop) -> None:
    scene = Scene(loop, "a", "b")
    assert scene.pool.soonest("m") == 0.0
    take(scene.pool, avoid={"b"}).failed(limited(7))
    assert scene.pool.soonest("m", frozenset({"b"})) == pytest.approx(7)
    assert scene.pool.soonest("m", frozenset({"a", "b"})) == float("inf")
    first, _ = scene.use_up()
    assert scene.pool.soonest("m") == pytest.approx(7)
    assert scene.pool.soonest("m", frozenset({"a"})) == pytest.approx(60)
    first.failed(REVOKED)
    assert scene.pool.soonest("m", frozenset({"a"})) == float("inf")


@on_a_fake_clock
async def test_shaping_is_told_apart_from_rests_of_poe(loop: ClockLoop) -> None:
    scene = Scene(loop, queue_length=0)
    scene.use_up()
    assert "has used its rate" in refused(scene.pool).message
    assert scene.pool.states() == {"a": "resting"}
    assert scene.pool.usable_count("m") == 0
    await asyncio.sleep(60)
    assert scene.pool.states() == {"a": "usable"}
    take(scene.pool).failed(limited(5))
    assert "resting" in refused(scene.pool).message


@on_a_fake_clock
async def test_an_empty_queue_leaves_no_timer(loop: ClockLoop) -> None:
    scene = Scene(loop)
    scene.use_up()
    job = scene.ask()
    await scene.settled()
    job.cancel()
    await scene.settled()
    assert scene.pool._queue._timer is None
    assert scene.pool._queue.wakes_at == float("inf")
