"""One soak: warm-up, a look, the load, and a look at what is left."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.soak import plan
from bench.soak.census import Census
from bench.soak.dice import Dice
from bench.soak.inside import Inside, Tamper, inside
from bench.soak.leaks import leaks
from bench.soak.load import Ledger, drive
from bench.soak.upstream import sandbox


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a soak found. `leaked` has a line for each thing that is left over."""

    before: Census
    after: Census
    leaked: tuple[str, ...]
    ledger: Ledger
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing is left, and every request ended as it may."""
        return not (self.leaked or self.ledger.complaints)


def soak(
    seconds: float, seed: int, logs: Path, *, tamper: Tamper | None = None, say: Callable[[str], None] = lambda _: None
) -> Soaked:
    """Load a gateway for so many seconds after a warm-up with the same mix. Raises BenchError where it does not run."""
    token = secrets.token_urlsafe(32)
    warm_up = min(max(seconds / 4, plan.SHORTEST_WARM_UP_SECONDS), plan.LONGEST_WARM_UP_SECONDS)
    with (
        sandbox(logs / "sandbox.log") as upstream,
        inside(_environment(upstream, token), logs / "gateway.log", tamper) as gateway,
    ):
        url = f"http://127.0.0.1:{gateway.port}/v1"
        say(f"warm-up, {warm_up:.0f} s")
        asyncio.run(drive(url, token, Dice(-seed), callers=plan.CALLERS, seconds=warm_up))
        time.sleep(plan.QUIET_SECONDS)
        before = gateway.census()
        say(f"load, {seconds:.0f} s")
        ledger = asyncio.run(drive(url, token, Dice(seed), callers=plan.CALLERS, seconds=seconds))
        after, leaked = _settled(
            gateway, before, plan.MEMORY_SHARE if seconds >= plan.LONG_SECONDS else plan.SHORT_MEMORY_SHARE
        )
    return Soaked(before, after, leaked, ledger, seconds)


def _settled(gateway: Inside, before: Census, memory_share: float) -> tuple[Census, tuple[str, ...]]:
    """The last look, as soon as nothing is left over or it has had long enough to go."""
    deadline = time.monotonic() + plan.SETTLE_SECONDS
    while True:
        after = gateway.census()
        leaked = tuple(leaks(before, after, memory_share=memory_share))
        if not leaked or time.monotonic() >= deadline:
            return after, leaked
        time.sleep(plan.POLL_SECONDS)


def _environment(upstream: str, token: str) -> dict[str, str]:
    keys = [
        f"account-{account}/key-{account}-{number}:{secrets.token_urlsafe(32)}"
        for account in range(plan.ACCOUNTS)
        for number in range(plan.KEYS_OF_AN_ACCOUNT)
    ]
    return {
        **plan.SETTINGS,
        "POE_BASE_URL": upstream,
        "POE_UPLOAD_URL": f"{upstream}/poe_api/file_upload_3RD_PARTY_POST",
        "POE_API_KEYS": ",".join(keys),
        "ACCESS_TOKENS": f"soak:{token}",
    }
