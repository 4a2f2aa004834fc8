"""What others did on the two cores meanwhile: a run beside other work is no measurement, and says so."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Cores, cpu_seconds

TOLERATED = 0.05
"""The share of a core that others may take before the report warns."""
IDLE_FIELDS = (3, 4)
"""Places of idle and iowait among the times of a core in /proc/stat; guest times, from the ninth on, count twice."""
TIMES = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds since the machine began: how long each of the two cores was busy or idle, and our own share of it."""

    busy_seconds: tuple[float, float]
    total_seconds: tuple[float, float]
    own_seconds: tuple[float, float]


class Watch:
    """Compares what the cores did with what the bench's own processes used of them."""

    def __init__(self, cores: Cores, gateways: Sequence[int], load: Sequence[int]) -> None:
        self._cores = cores
        self._gateways = gateways
        self._load = load
        self._first = self._read()

    def report(self) -> str:
        """A sentence for the report, in bold where the run should not be trusted."""
        first, last = self._first, self._read()
        shares = [
            max(0.0, last.busy_seconds[at] - first.busy_seconds[at] - (last.own_seconds[at] - first.own_seconds[at]))
            / max(1e-9, last.total_seconds[at] - first.total_seconds[at])
            for at in (0, 1)
        ]
        told = f"others took {shares[0]:.0%} of the gateways' core and {shares[1]:.0%} of the load's meanwhile"
        return told if max(shares) <= TOLERATED else f"**Not a measurement**: {told}. Run it again on an idle machine."

    def _read(self) -> Reading:
        lines = dict(line.split(None, 1) for line in Path("/proc/stat").read_text().splitlines() if line[:3] == "cpu")
        tick = os.sysconf("SC_CLK_TCK")
        both = [
            [int(word) / tick for word in lines[f"cpu{core}"].split()[:TIMES]]
            for core in (self._cores.gateway, self._cores.load)
        ]
        idle = [sum(times[field] for field in IDLE_FIELDS) for times in both]
        total = [sum(times) for times in both]
        return Reading(
            busy_seconds=(total[0] - idle[0], total[1] - idle[1]),
            total_seconds=(total[0], total[1]),
            own_seconds=(cpu_seconds(self._gateways), cpu_seconds(self._load)),
        )
