"""Keeps the catalogue fresh: fetches Poe's list at the start, every hour, and when an unknown name is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from service.errors import Failure
from service.routing import listing
from service.routing.catalogue import Catalogue
from service.routing.model import Model

PERIOD_SECONDS = 3600.0
MIN_PAUSE_SECONDS = 60.0
"""Between two fetches, whoever asks."""
MAX_RETRY_SECONDS = 600.0
FETCH_SECONDS = 30.0
ROWS_AT_A_TIME = 16
"""Rows read before other requests get their turn: a quarter of a millisecond."""

log = logging.getLogger(__name__)


class CatalogueRefresher:
    """Run `run` as a task; cancelling it is the way to end it. `fetch` returns the body of `GET /v1/models`.

    When a fetch fails, or brings no models, the catalogue keeps what it has and the next one comes after one minute,
    then two, four, up to ten.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        period_seconds: float = PERIOD_SECONDS,
        min_pause_seconds: float = MIN_PAUSE_SECONDS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._catalogue = catalogue
        self._fetch = fetch
        self._period = period_seconds
        self._min_pause = min_pause_seconds
        self._fetch_seconds = fetch_seconds
        self._asked = asyncio.Event()
        self.failures = 0
        """Fetches that failed since the last one that did not."""
        catalogue.call_on_unknown(self.hasten)

    def hasten(self) -> None:
        """Fetch as soon as the pause between two fetches allows."""
        self._asked.set()

    async def run(self) -> None:
        """Fetch for ever."""
        while True:
            self._asked.clear()
            await self.refresh()
            await asyncio.sleep(self._min_pause)
            try:
                async with asyncio.timeout(self._rest()):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> bool:
        """Fetch once; whether the catalogue has a new list. Never raises but when cancelled."""
        try:
            async with asyncio.timeout(self._fetch_seconds):
                body = await self._fetch()
            junk = await self._take(body)
        except Exception as error:
            self.failures += 1
            log.warning("model list not refreshed: %s; the one before stays", _words(error))
            return False
        self.failures = 0
        if junk:
            log.warning("model list: %d rows could not be read", junk)
        return True

    async def _take(self, body: bytes) -> int:
        rows = listing.rows(body)
        models: list[Model] = []
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            models += self._catalogue.read(rows[start : start + ROWS_AT_A_TIME])
            await asyncio.sleep(0)
        self._catalogue.adopt(models)
        return len(rows) - len(models)

    def _rest(self) -> float:
        """Seconds to wait after the shortest pause if nobody asks."""
        pause = self._period
        if self.failures:
            doubled = self._min_pause * 2.0 ** min(self.failures - 1, 10)
            pause = min(doubled, MAX_RETRY_SECONDS, self._period)
        return max(0.0, pause - self._min_pause)


def _words(error: Exception) -> str:
    """What a log may say of an error: a sentence of ours, else what it is."""
    return error.message if isinstance(error, Failure) else type(error).__name__
