"""Circuits: models that keep failing on a wire are left alone, but for one trial at a time.

A circuit opens after some requests in a row whose attempts failed by Poe's fault or the network's. While it is open,
requests go elsewhere at once; now and then one of them is let through as a trial, and its success closes the circuit.
One request counts once, however many keys it tried: a prompt that a model cannot digest says little about the model.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable

from service.routing.route import WireName

FIRST_TRIAL_SECONDS = 2.0
LAST_TRIAL_SECONDS = 15.0
"""Between two trials: the first comes soon, and each that fails doubles the wait up to the longest."""
TRIAL_SECONDS = 120.0
"""A trial that takes longer no longer keeps others from being the next: nobody knows what became of it."""
JITTER = 0.1
MAX_CIRCUITS = 1024
"""Models that have failed lately and not succeeded since; callers can make names up."""

Way = tuple[str, WireName]
"""A model's id and a wire."""


class Circuit:
    """One model on one wire since its last success. `trial` is the request that tries whether it works again."""

    __slots__ = ("failures", "trial", "trial_at", "trial_until", "wait_seconds")

    def __init__(self) -> None:
        self.failures = 0
        self.wait_seconds = 0.0
        """Between two trials; 0 while the circuit is closed."""
        self.trial_at = 0.0
        """When the next trial may begin, for an open circuit."""
        self.trial: object = None
        self.trial_until = 0.0
        """While a trial is under way: from when on another request may be the next."""

    @property
    def is_open(self) -> bool:
        return self.wait_seconds > 0


class Circuits:
    """All circuits that are not simply closed. `failures` in a row open one; 0 switches circuits off.

    Only the end of a whole answer closes a circuit. An answer that has begun lets one more request try after it now
    and then, since it may take minutes, and may break off.
    """

    def __init__(
        self,
        failures: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._limit = failures
        self._clock = clock
        self._spread = spread
        self._known: OrderedDict[Way, Circuit] = OrderedDict()

    def enter(self, way: Way, who: object) -> bool:
        """Whether a request may try this way now. True at an open circuit makes it the trial: then tell its outcome."""
        circuit = self._known.get(way)
        if circuit is None or not circuit.is_open:
            return True
        now = self._clock()
        if now < circuit.trial_at or now < circuit.trial_until:
            return False
        circuit.trial, circuit.trial_until = who, now + TRIAL_SECONDS
        return True

    def seconds_to_trial(self, way: Way) -> float:
        """How long until a request may try again; 0 where it may now."""
        circuit = self._known.get(way)
        if circuit is None or not circuit.is_open:
            return 0.0
        # Nobody knows how long the trial that is under way takes: whoever asks then comes back as for the next one.
        under_way = circuit.wait_seconds if self._clock() < circuit.trial_until else 0.0
        return max(circuit.trial_at - self._clock(), under_way, 0.0)

    def began(self, way: Way, who: object) -> None:
        """A trial's answer has begun."""
        circuit = self._known.get(way) if self._known else None
        if circuit is not None and circuit.trial is who:
            circuit.trial_until = self._clock() + FIRST_TRIAL_SECONDS

    def succeeded(self, way: Way) -> None:
        """An answer came to its end: what failed before is forgotten."""
        if self._known:
            self._known.pop(way, None)

    def failed(self, way: Way) -> None:
        """A request failed by this way, by no fault of its own or of a key."""
        if not self._limit:
            return
        circuit = self._known.get(way)
        if circuit is None:
            circuit = self._known[way] = Circuit()
            if len(self._known) > MAX_CIRCUITS:
                self._known.popitem(last=False)
        self._known.move_to_end(way)
        circuit.failures += 1
        now = self._clock()
        if circuit.failures < self._limit or now < circuit.trial_at:
            return  # what fails while the circuit is open began before it opened
        circuit.wait_seconds = min(max(circuit.wait_seconds * 2, FIRST_TRIAL_SECONDS), LAST_TRIAL_SECONDS)
        circuit.trial_at = now + circuit.wait_seconds * self._spread(1 - JITTER, 1.0)
        circuit.trial, circuit.trial_until = None, 0.0

    def left(self, way: Way, who: object) -> None:
        """A trial ended without a verdict on the model, as when its caller left: the next request may be the trial."""
        circuit = self._known.get(way)
        if circuit is not None and circuit.trial is who:
            circuit.trial, circuit.trial_until = None, 0.0

    def __len__(self) -> int:
        return len(self._known)
