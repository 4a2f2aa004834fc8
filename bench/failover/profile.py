"""How long the waits are: the published ones, or a quarter of them for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Waits in seconds. `scale` shortens the faults' delays, their limits and the gateway's timeouts alike.

    What a 429 says in whole seconds (S01, S02) is the same in both profiles, and so is the circuit's own pace (S15),
    which no setting changes: only the outage and the requests in it come faster.
    """

    name: str
    scale: float
    word_seconds: float
    outage_seconds: float
    interval_seconds: float

    def seconds(self, published: float) -> float:
        """A published wait in this profile."""
        return published * self.scale

    def settings(self) -> Mapping[str, str]:
        """The gateway's settings that go with it. All others have their defaults."""
        waits = {"FIRST_EVENT_TIMEOUT": 12, "IDLE_TIMEOUT": 60, "HEAD_DEADLINE": 10, "KEEPALIVE": 10}
        return {name: f"{self.seconds(wait):g}" for name, wait in waits.items()} | {"RECOVERY": "verified"}


FULL = Profile("full", 1, word_seconds=0.015, outage_seconds=60, interval_seconds=4)
SHORT = Profile("short", 1 / 4, word_seconds=0.001, outage_seconds=6, interval_seconds=0.4)
