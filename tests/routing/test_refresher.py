"""The refresher: the list is fetched when it should be, and never at the price of what is already known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from service.routing.catalogue import Catalogue
from service.routing.refresher import CatalogueRefresher
from tests.faults.clock_loop import ClockLoop

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """On a clock that no busy machine can move."""
    return "asyncio", {"loop_factory": ClockLoop}


class Poe:
    """Answers with `body`, or fails with `error`, or hangs; counts how often it was asked."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.error: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.error is not None:
            raise self.error
        return self.body


@asynccontextmanager
async def running(refresher: CatalogueRefresher) -> AsyncIterator[None]:
    task = asyncio.create_task(refresher.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
        assert task.cancelled()


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not claim():  # noqa: ASYNC110 - what is waited for knows nothing of this test
            await asyncio.sleep(0.002)


@pytest.fixture
def poe(list_of: Callable[..., bytes]) -> Poe:
    return Poe(list_of("alpha", "beta"))


async def test_the_list_is_fetched_at_the_start_and_then_once_a_period(poe: Poe) -> None:
    catalogue = Catalogue()
    async with running(CatalogueRefresher(catalogue, poe.fetch, period_seconds=0.05, min_pause_seconds=0.01)):
        await until(lambda: len(catalogue.models()) == 2)
        assert poe.asked == 1
        await until(lambda: poe.asked >= 3)


async def test_an_unknown_name_hastens_the_next_fetch(poe: Poe, list_of: Callable[..., bytes]) -> None:
    catalogue = Catalogue()
    async with running(CatalogueRefresher(catalogue, poe.fetch, min_pause_seconds=0.01)):
        await until(lambda: len(catalogue.models()) == 2)
        poe.body = list_of("alpha", "beta", "gamma-7")
        assert catalogue.routes("gamma-7")[0].model is None
        await until(lambda: catalogue.find("gamma-7") is not None)
        await asyncio.sleep(0.05)
        assert poe.asked == 2


async def test_however_many_ask_it_is_fetched_once_in_each_pause(poe: Poe) -> None:
    catalogue = Catalogue()
    async with running(CatalogueRefresher(catalogue, poe.fetch, min_pause_seconds=0.2)):
        await until(lambda: poe.asked == 1)
        for number in range(20):
            catalogue.routes(f"unheard-of-{number}")
            await asyncio.sleep(0.003)
        assert poe.asked == 1
        await until(lambda: poe.asked == 2)


@pytest.mark.parametrize("body", [b"<html>", b'{"data":[]}', b'{"data":[1]}'])
async def test_a_bad_list_leaves_the_old_one(body: bytes, poe: Poe, caplog: pytest.LogCaptureFixture) -> None:
    catalogue = Catalogue()
    refresher = CatalogueRefresher(catalogue, poe.fetch)
    poe.body = body
    assert not await refresher.refresh()
    assert refresher.failures == 1
    assert len(catalogue.models()) == 362
    assert "not refreshed" in caplog.text


async def test_poe_being_down_leaves_the_old_list_and_is_tried_again_sooner(poe: Poe) -> None:
    catalogue = Catalogue()
    poe.error = OSError("the token is s3cret")
    async with running(CatalogueRefresher(catalogue, poe.fetch, min_pause_seconds=0.01)):
        await until(lambda: poe.asked >= 3)
        assert len(catalogue.models()) == 362
        poe.error = None
        await until(lambda: len(catalogue.models()) == 2)
        asked = poe.asked
        await asyncio.sleep(0.05)
        assert poe.asked == asked, "the hour counts again"


async def test_a_failure_is_logged_without_its_words(poe: Poe, caplog: pytest.LogCaptureFixture) -> None:
    poe.error = OSError("the token is s3cret")
    await CatalogueRefresher(Catalogue(), poe.fetch).refresh()
    assert "OSError" in caplog.text
    assert "s3cret" not in caplog.text


async def test_junk_rows_are_counted_in_the_log(
    poe: Poe, list_of: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    poe.body = list_of("alpha", None, 4)
    with caplog.at_level(logging.WARNING):
        assert await CatalogueRefresher(Catalogue(), poe.fetch).refresh()
    assert "2 rows" in caplog.text


async def test_a_fetch_that_hangs_is_given_up(poe: Poe) -> None:
    poe.hangs = True
    refresher = CatalogueRefresher(Catalogue(), poe.fetch, fetch_seconds=0.02)
    assert not await refresher.refresh()


async def test_pauses_after_failures_grow_to_ten_minutes_and_no_further(poe: Poe) -> None:
    refresher = CatalogueRefresher(Catalogue(), poe.fetch)
    pauses: list[Any] = []
    for refresher.failures in (0, 1, 2, 3, 4, 5, 50, 10_000):
        pauses.append(60 + refresher._rest())
    assert pauses == [3600, 60, 120, 240, 480, 600, 600, 600]


async def test_it_can_be_cancelled_at_any_moment(poe: Poe) -> None:
    poe.hangs = True
    async with running(CatalogueRefresher(Catalogue(), poe.fetch)):
        await until(lambda: poe.asked == 1)
    poe.hangs = False
    for moment in (0.0, 0.001, 0.005):
        async with running(CatalogueRefresher(Catalogue(), poe.fetch)):
            await asyncio.sleep(moment)


async def test_other_work_gets_its_turn_while_a_long_list_is_read(poe: Poe, list_of: Callable[..., bytes]) -> None:
    poe.body = list_of(*[f"bot-{number}" for number in range(400)])
    turns = 0
    task = asyncio.create_task(CatalogueRefresher(Catalogue(), poe.fetch).refresh())
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 20
