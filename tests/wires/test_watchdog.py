"""The watchdog bites once, when the last deadline that it was given has passed, and not while it rests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from service.wires.watchdog import Watchdog
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock


def bites(script: Callable[[Watchdog], object], *, within: float) -> list[float]:
    """When it bit, in seconds from the start."""

    async def told(clock: ClockLoop) -> list[float]:
        began = clock.time()
        found: list[float] = []
        dog = Watchdog(lambda: found.append(clock.time() - began))
        made = script(dog)
        if asyncio.iscoroutine(made):
            await made
        await asyncio.sleep(within)
        dog.close()
        return found

    return run_on_a_fake_clock(told)


def test_it_bites_once_when_nothing_happens_in_time() -> None:
    assert bites(lambda dog: dog.expect(0.05), within=0.2) == [pytest.approx(0.05)]


def test_it_bites_at_the_last_deadline_even_if_nobody_comes_back() -> None:
    async def moved(dog: Watchdog) -> None:
        dog.expect(0.1)
        await asyncio.sleep(0.05)
        dog.expect(0.15)

    assert bites(moved, within=0.4) == [pytest.approx(0.2)]


def test_a_nearer_deadline_takes_the_place_of_a_farther_one() -> None:
    def nearer(dog: Watchdog) -> None:
        dog.expect(30)
        dog.expect(0.05)

    assert bites(nearer, within=0.2) == [pytest.approx(0.05)]


def test_it_does_not_bite_while_it_rests_and_does_again_afterwards() -> None:
    async def rested(dog: Watchdog) -> None:
        dog.expect(0.05)
        dog.rest()
        await asyncio.sleep(0.15)
        dog.expect(0.05)

    assert bites(rested, within=0.2) == [pytest.approx(0.2)]


def test_it_does_not_bite_once_it_is_closed() -> None:
    def closed(dog: Watchdog) -> None:
        dog.expect(0.05)
        dog.close()

    assert bites(closed, within=0.15) == []


def test_a_deadline_that_is_over_already_bites_soon() -> None:
    assert bites(lambda dog: dog.expect(-1), within=0.1) == [pytest.approx(0.0, abs=0.001)]
