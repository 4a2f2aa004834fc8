"""With Poe's headers to go by, an account is used to its limit and hardly beyond, whatever our own setting says."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from service.keys.pool import Pool
from tests.faults.clock_loop import ClockLoop, run_on_a_fake_clock
from tests.keys.clock import pool_of, take

LIMIT = 30
MINUTES = 8


class Account:
    """What Poe keeps of an account: fixed minutes, in which others use it, too."""

    def __init__(self, loop: ClockLoop) -> None:
        self.loop = loop
        self.minute = -1
        self.used = 0
        self.refused = 0
        self.answered: dict[int, int] = {}

    def ask(self, *, other: bool = False) -> tuple[int, int, float]:
        """Take one request; what the answer's headers say."""
        minute, second = divmod(self.loop.time(), 60.0)
        if minute != self.minute:
            self.minute, self.used = int(minute), 0
        if self.used >= LIMIT:
            self.refused += not other
        else:
            self.used += 1
            if not other:
                self.answered[self.minute] = self.answered.get(self.minute, 0) + 1
        return LIMIT, LIMIT - self.used, 60.0 - second


async def caller(pool: Pool, account: Account, chance: Random) -> None:
    """Asks one thing after the other; answers take their time and overtake each other."""
    while True:
        lease = await pool.lease("m")
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        said = account.ask()
        await asyncio.sleep(chance.uniform(0.0, 3.0))
        lease.rates(*said)
        lease.succeeded()


async def minutes(loop: ClockLoop, chance: Random, setting: int, others: int) -> Account:
    """Some minutes of more callers than the account can serve, while others use it for `others` requests a minute."""
    pool = pool_of(loop.time, "a", limit_per_minute=setting, queue_wait=1000.0)
    account = Account(loop)
    await asyncio.sleep(60.0 - loop.time() % 60.0)
    first = take(pool)
    first.rates(*account.ask())  # until Poe has said something, only our setting is known
    first.succeeded()
    jobs = [asyncio.create_task(caller(pool, account, chance)) for _ in range(10)]
    for _ in range(MINUTES):
        for _ in range(others):
            account.ask(other=True)
        await asyncio.sleep(60.0)
    for job in jobs:
        job.cancel()
    await asyncio.wait(jobs)
    assert all(job.cancelled() for job in jobs)
    assert pool.waiting == 0
    return account


@pytest.mark.parametrize("setting", [7, LIMIT, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_poe_hardly_ever_has_to_refuse_and_little_is_left_unused(setting: int, seed: int) -> None:
    account = run_on_a_fake_clock(lambda loop: minutes(loop, Random(seed), setting, 0))
    assert account.refused <= LIMIT * MINUTES * 0.01  # one that overtakes another on its way to Poe is not foreseen
    assert sum(account.answered.values()) >= LIMIT * MINUTES * 0.95


@pytest.mark.parametrize("seed", range(4))
def test_what_others_use_of_the_account_is_left_to_them(seed: int) -> None:
    account = run_on_a_fake_clock(lambda loop: minutes(loop, Random(seed), LIMIT, LIMIT // 2))
    assert account.refused <= LIMIT // 2 * MINUTES * 0.08
    assert sum(account.answered.values()) >= LIMIT // 2 * MINUTES * 0.8
