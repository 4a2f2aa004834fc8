"""Balances are asked for in the background: of all keys at times, of those out of use until they are back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.errors import Failure, Kind
from service.keys import prober as module
from service.keys.prober import MOST_PROBES_AT_ONCE, Prober
from tests.clock import Clock
from tests.faults.clock_loop import ClockLoop
from tests.keys.clock import names, pool_of, take

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """On a clock that no busy machine can move."""
    return "asyncio", {"loop_factory": ClockLoop}


DRY = Failure(Kind.DRY, "no points")
REVOKED = Failure(Kind.KEY_REVOKED, "bad key")


class Bank:
    """Answers probes by secret: a number of points, or a problem to raise."""

    def __init__(self, **answers: int | Exception) -> None:
        self.answers = {f"secret-of-{name}": answer for name, answer in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, secret: str) -> int:
        self.asked.append(secret.removeprefix("secret-of-"))
        answer = self.answers[secret]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_poll_asks_a_key_of_every_account_after_the_start_and_every_five_minutes() -> None:
    clock = Clock()
    pool, bank = pool_of(clock, "a/1", "a/2", "b"), Bank(**{"a/1": 10, "a/2": 10, "b": 20})
    prober = Prober(pool, bank, clock=clock)
    await prober.poll_due()
    assert bank.asked == []
    clock.forward(2)
    await prober.poll_due()
    assert (sorted(bank.asked), pool.points()) == (["a/1", "b"], {"a/1": 10, "a/2": 10, "b": 20})
    names(pool, 1)
    clock.forward(299)
    await prober.poll_due()
    assert len(bank.asked) == 2
    clock.forward(1)
    await prober.poll_due()
    assert sorted(bank.asked[2:]) == ["a/2", "b"]


async def test_a_poll_leaves_revoked_keys_to_their_probes() -> None:
    clock = Clock()
    pool, bank = pool_of(clock, "a/1", "a/2", "b"), Bank(**{"a/1": REVOKED, "a/2": 10, "b": REVOKED})
    take(pool).failed(REVOKED)
    take(pool).failed(REVOKED)
    assert pool.states() == {"a/1": "revoked", "a/2": "usable", "b": "revoked"}
    await Prober(pool, bank, clock=clock, first_poll_seconds=0).poll_due()
    assert bank.asked == ["a/2"]


async def test_between_polls_only_what_is_due_is_asked() -> None:
    clock = Clock()
    pool, bank = pool_of(clock, "a", "b", "c"), Bank(a=0, b=REVOKED, c=5)
    prober = Prober(pool, bank, clock=clock, first_poll_seconds=10_000)
    take(pool).failed(DRY)
    take(pool).failed(REVOKED)
    clock.forward(15)
    await prober.probe_due()
    assert bank.asked == ["b"]
    assert pool.next_probe() == 30
    clock.forward(45)
    await prober.probe_due()
    assert bank.asked == ["b", "b", "a"]
    assert pool.states() == {"a": "dry", "b": "revoked", "c": "usable"}
    bank.answers = dict.fromkeys(bank.answers, 7)
    clock.forward(600)
    await prober.probe_due()
    assert set(pool.states().values()) == {"usable"}


async def test_a_probe_that_breaks_ends_neither_the_others_nor_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    pool, bank = pool_of(clock, "a", "b"), Bank(a=RuntimeError("secret-of-a is bad"), b=20)
    take(pool).failed(DRY)
    clock.forward(60)
    await Prober(pool, bank, clock=clock, first_poll_seconds=0).poll_due()
    assert (pool.points(), pool.next_probe()) == ({"b": 20}, 120)
    assert "probe of key a failed: RuntimeError" in caplog.text
    assert "secret-of" not in caplog.text


async def test_a_probe_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    pool = pool_of(clock, "a")
    take(pool).failed(REVOKED)
    clock.forward(15)

    async def probe(_: str) -> int:
        await asyncio.sleep(30)
        return 1

    monkeypatch.setattr(module, "PROBE_SECONDS", 0.01)
    await Prober(pool, probe, clock=clock, first_poll_seconds=10_000).probe_due()
    assert (pool.states(), pool.next_probe()) == ({"a": "revoked"}, 30)


async def test_few_probes_run_at_once() -> None:
    clock = Clock()
    running = most = 0

    async def probe(_: str) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return 1

    pool = pool_of(clock, *(f"k{number}" for number in range(40)))
    await Prober(pool, probe, clock=clock, first_poll_seconds=0).poll_due()
    assert most == MOST_PROBES_AT_ONCE
    assert len(pool.points()) == 40


@asynccontextmanager
async def running(prober: Prober) -> AsyncIterator[None]:
    """The prober at work in the background."""
    task = asyncio.create_task(prober.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def holds_within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition holds at some moment until then."""
    for _ in range(int(seconds * 10)):
        if condition():
            return True
        await asyncio.sleep(0.1)
    return False


async def test_in_the_background_it_polls_by_itself() -> None:
    clock = asyncio.get_running_loop().time
    pool = pool_of(clock, "a")
    async with running(Prober(pool, Bank(a=3), clock=clock)):
        assert await holds_within(5, lambda: pool.points() == {"a": 3})


async def test_trouble_wakes_it_although_the_next_poll_is_far() -> None:
    clock = asyncio.get_running_loop().time
    pool = pool_of(clock, "a")
    async with running(Prober(pool, Bank(a=3), first_poll_seconds=1000, clock=clock)):
        await asyncio.sleep(5)
        take(pool).failed(REVOKED)
        assert pool.states() == {"a": "revoked"}
        assert await holds_within(20, lambda: pool.states() == {"a": "usable"})


async def test_a_probe_does_not_wait_for_a_poll_that_takes_long() -> None:
    clock = asyncio.get_running_loop().time
    pool = pool_of(clock, "a", "b")

    async def probe(secret: str) -> int:
        if secret == "secret-of-b":
            await asyncio.sleep(19)
        return 3

    async with running(Prober(pool, probe, first_poll_seconds=0, clock=clock)):
        await asyncio.sleep(0.5)
        take(pool).failed(REVOKED)
        assert await holds_within(16, lambda: pool.states()["a"] == "usable")


async def test_news_wake_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = asyncio.get_running_loop().time
    pool = pool_of(clock, "a")
    rounds: list[None] = []
    prober = Prober(pool, Bank(a=3), first_poll_seconds=1000, clock=clock)
    monkeypatch.setattr(prober, "probe_due", lambda: asyncio.sleep(0, rounds.append(None)))
    async with running(prober):
        await asyncio.sleep(1)
        take(pool).failed(REVOKED)
        await asyncio.sleep(1)
    assert len(rounds) == 1


async def test_a_poll_forgets_what_no_longer_matters() -> None:
    clock = Clock()
    pool = pool_of(clock, "a")
    take(pool).failed(Failure(Kind.RATE_LIMITED, "slow", retry_after=1))
    clock.forward(602)
    await Prober(pool, Bank(a=3), clock=clock, first_poll_seconds=0).poll_due()
    assert pool._keys["a"].rests == {}


async def test_what_changes_is_logged_by_name_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    pool = pool_of(clock, "a", "b", "c")
    leases = [take(pool), take(pool), take(pool)]
    clock.forward(1)
    leases[0].failed(DRY)
    leases[1].failed(REVOKED)
    leases[2].failed(Failure(Kind.RATE_LIMITED, "slow", retry_after=30, account_wide=True))
    clock.forward(60)
    await Prober(pool, Bank(a=5, b=5, c=5), clock=clock, first_poll_seconds=10_000).probe_due()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("service.keys")] == [
        "account of key a is out of points; it is probed until it has some",
        "key b is refused by Poe; it is probed until it is accepted",
        "account of key c rests 30.0 s after a rate limit",
        "key b is accepted again",
        "account of key a has points again",
    ]
    for shown in (caplog.text, repr(pool), repr(leases), repr(leases[0].key), str(vars(pool))):
        assert "secret-of" not in shown
