"""How much is measured: the full run, and the quick one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["whole", "streams", "bodies", "latency", "failover", "paced", "memory", "start"]
PHASES: tuple[Phase, ...] = ("whole", "streams", "bodies", "latency", "failover", "paced", "memory", "start")


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of a run. In each round everybody has one turn, the order turning round from one round to the next."""

    rounds: int = 5
    seconds: float = 2.0
    warm_up_seconds: float = 0.5
    connections: int = 16
    latency_seconds: float = 1.5
    paced_streams: int = 500
    paced_seconds: int = 10
    paced_rounds: int = 1
    starts: int = 7


FULL = Plan()
QUICK = Plan(
    rounds=1,
    seconds=0.4,
    warm_up_seconds=0.1,
    latency_seconds=0.3,
    paced_streams=40,
    paced_seconds=1,
    starts=1,
)
