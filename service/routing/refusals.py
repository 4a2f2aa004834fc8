"""Parameters that a model refused on a wire, so that the next request leaves them out from the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from service.routing.memory import Memory
from service.routing.route import WireName

REMEMBERED_SECONDS = 3600.0
MAX_ROUTES = 1024
MAX_PARAMETERS = 32
MAX_PARAMETER_LENGTH = 64

NONE_REFUSED: frozenset[str] = frozenset()


class LearnedRefusals:
    """What `Failure(UNSUPPORTED_PARAMETER)` taught, per model and wire; each lesson is forgotten after an hour."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._routes: Memory[tuple[str, WireName], Mapping[str, float]] = Memory(
            ttl_seconds=REMEMBERED_SECONDS, limit=MAX_ROUTES, clock=clock
        )

    def learn(self, model_id: str, wire: WireName, parameter: str) -> bool:
        """Remember that the model refuses `parameter` on `wire`; False for what is no usable name, or one too many."""
        if not 0 < len(parameter) <= MAX_PARAMETER_LENGTH:
            return False
        now = self._clock()
        lessons = self._lessons(model_id, wire)
        known = {name: since for name, since in lessons.items() if now - since < REMEMBERED_SECONDS}
        if len(known) >= MAX_PARAMETERS and parameter not in known:
            return False
        self._routes.put((model_id, wire), {parameter: now, **known})
        return True

    def refused(self, model_id: str, wire: WireName) -> frozenset[str]:
        """Names of the parameters to leave out."""
        if not self._routes:
            return NONE_REFUSED
        lessons = self._lessons(model_id, wire)
        if not lessons:
            return NONE_REFUSED
        now = self._clock()
        return frozenset([name for name, since in lessons.items() if now - since < REMEMBERED_SECONDS])

    def _lessons(self, model_id: str, wire: WireName) -> Mapping[str, float]:
        return self._routes.get((model_id, wire)) or {}
