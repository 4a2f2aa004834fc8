"""Ask again until something is true or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 3.0


def until(ask: Callable[[], Answer], good: Callable[[Answer], bool], seconds: float) -> Answer:
    """The first good answer, or the last one before `seconds` were over."""
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
    while not good(answer := ask()) and time.monotonic() + pause < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
    return answer
