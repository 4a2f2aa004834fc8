"""An event loop whose time nobody waits for: when nothing is ready, the clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
GRAIN_SECONDS = 1e-6
"""More than the rounding of any time that a test reaches: else a jump may fall short of its timer for ever."""


class StuckError(Exception):
    """Nothing is ready, and no timer is left: whoever waits would wait for ever."""


class _Jumping(selectors.DefaultSelector):
    """Never sleeps: tells instead how long the loop would have."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda seconds: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise StuckError
        if not ready and timeout:
            self.jump(timeout)
        return ready


class ClockLoop(asyncio.SelectorEventLoop):
    """Its `time` is the only clock there is."""

    def __init__(self) -> None:
        selector = _Jumping()
        super().__init__(selector)
        self._clock_resolution = GRAIN_SECONDS
        self.now = 1000.0
        selector.jump = self.forward

    def time(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def run_on_a_fake_clock(job: Callable[[ClockLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine on such a loop; it gets the loop as its clock."""
    loop = ClockLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(job(loop))
