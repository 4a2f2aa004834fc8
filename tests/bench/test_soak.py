"""The soak: this gateway leaves nothing over, and whatever a gateway leaves over is found."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.soak import plan, report
from bench.soak.census import Census
from bench.soak.dice import FAULTS, MIX, Dice
from bench.soak.leaks import KEPT, leaks
from bench.soak.load import Ledger
from bench.soak.run import Soaked, soak
from tests.bench import leaky

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it reads /proc: made for Linux")

SHORT_SECONDS = 5.0
LONG_SECONDS = 120.0


def test_nothing_is_left_over_after_a_few_seconds(tmp_path: Path) -> None:
    found = soak(SHORT_SECONDS, 1, tmp_path)
    assert found.clean, report.markdown(found)
    assert {"whole", "stream", "left", "in-band error", "400"} <= found.ledger.ends.keys()


@pytest.mark.long
def test_nothing_is_left_over_after_two_minutes(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    found = soak(LONG_SECONDS, random.randrange(1 << 32), tmp_path)
    record_property("told", report.markdown(found))
    assert found.clean, report.markdown(found)


def test_planted_leaks_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHORTEST_WARM_UP_SECONDS", 0.5)
    monkeypatch.setattr(plan, "QUIET_SECONDS", 1.5)
    monkeypatch.setattr(plan, "SETTLE_SECONDS", 0.0)
    found = soak(1.0, 1, tmp_path, tamper=leaky.in_every_way)
    for planted in ("entries of Gateway.remembered", "tasks", "descriptors", "objects observe.record.Record", "memory"):
        assert any(leak.startswith(f"{planted}: ") for leak in found.leaked), (planted, found.leaked)
    assert not found.clean


def census(rss_mb: float = 100.0, **counts: int) -> Census:
    return Census(counts, rss_mb)


def test_less_is_no_leak_and_more_is() -> None:
    before = census(tasks=5, sockets=4)
    assert not list(leaks(before, census(tasks=5, sockets=3), memory_share=0.1))
    assert list(leaks(before, census(tasks=6, sockets=4), memory_share=0.1)) == ["tasks: 5 before, 6 after"]
    assert list(leaks(before, census(new=1), memory_share=0.1)) == ["new: 0 before, 1 after"]


def test_memory_may_grow_by_its_share() -> None:
    assert not list(leaks(census(100.0), census(110.0), memory_share=0.1))
    assert len(list(leaks(census(100.0), census(110.2), memory_share=0.1))) == 1


def test_maps_that_keep_by_design_are_held_to_their_bounds() -> None:
    for name, most in KEPT.items():
        assert not list(leaks(census(), Census({name: most}, 100.0), memory_share=0.1))
        assert len(list(leaks(census(), Census({name: most + 1}, 100.0), memory_share=0.1))) == 1


def test_the_same_seed_throws_the_same_requests() -> None:
    first, second, third = Dice(7), Dice(7), Dice(8)
    thrown = [first.throw() for _ in range(200)]
    assert thrown == [second.throw() for _ in range(200)]
    assert thrown != [third.throw() for _ in range(200)]


def test_the_mix_is_the_one_that_is_stated() -> None:
    assert sum(MIX.values()) == sum(FAULTS.values()) == 100
    dice = Dice(1)
    kinds = Counter(dice.throw().kind for _ in range(5000))
    assert kinds.keys() == MIX.keys()
    assert all(abs(kinds[kind] / 50 - share) < 3 for kind, share in MIX.items())


def test_the_report_has_a_line_for_each_leak() -> None:
    ledger = Ledger(Counter(whole=3))
    found = Soaked(census(tasks=1), census(tasks=2), ("tasks: 1 before, 2 after",), ledger, 5.0)
    shown = report.markdown(found)
    assert "| tasks | 1 | 2 |" in shown
    assert "**left over**: tasks: 1 before, 2 after" in shown
    assert "Nothing is left over" not in shown
    assert "Nothing is left over" in report.markdown(Soaked(census(), census(), (), ledger, 5.0))
