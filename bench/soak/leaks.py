"""What there is afterwards that was not there before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from bench.soak import plan
from bench.soak.census import Census
from service.keys.account import MOST_RESTS
from service.keys.strategy import MOST_SESSIONS
from service.keys.window import GRAIN_SECONDS, WINDOW_SECONDS
from service.observe.metrics import MAX_SERIES
from service.routing.budget import MAX_WAYS
from service.routing.budget import WINDOW_SECONDS as BUDGET_SECONDS
from service.routing.catalogue import MAX_MISSING, MAX_READY
from service.routing.circuits import MAX_CIRCUITS
from service.routing.refusals import MAX_ROUTES
from service.wires.bot import MAX_REWRITERS
from service.wires.client import MAX_HEADS
from service.wires.opaque import MAX_CALLS
from service.wires.uploads import MAX_KEPT

_BUCKETS = plan.ACCOUNTS * int(WINDOW_SECONDS / GRAIN_SECONDS)
_RESTS = plan.ACCOUNTS * plan.KEYS_OF_AN_ACCOUNT * MOST_RESTS
KEPT: Mapping[str, int] = MappingProxyType(
    {
        "entries of OpaqueStore._kept": MAX_CALLS,
        "entries of Uploads._kept": MAX_KEPT,
        "objects wires.bot_request.Attachment": MAX_KEPT,
        "entries of Memory._entries": MAX_MISSING + MAX_ROUTES,
        "entries of Rewriters._ends": MAX_REWRITERS,
        "entries of _List.ready": MAX_READY,
        "objects routing.route.Route": MAX_READY,
        "entries of Key.rests": _RESTS,
        "objects keys.rest.Rest": _RESTS,
        "entries of Sticky._sessions": MOST_SESSIONS,
        "entries of Window._buckets": _BUCKETS,
        "objects keys.window.Bucket": _BUCKETS,
        "entries of Circuits._known": MAX_CIRCUITS,
        "objects routing.circuits.Circuit": MAX_CIRCUITS,
        "entries of Origin.heads": MAX_HEADS,
        "entries of RetryBudget._ways": MAX_WAYS,
        "entries of _Counts.seconds": MAX_WAYS * BUDGET_SECONDS,
        "objects routing.budget._Counts": MAX_WAYS,
        "entries of Children._known": MAX_SERIES,
    }
)
"""Maps that keep what requests taught them, by design, and how many entries each may ever hold."""


def leaks(before: Census, after: Census, *, memory_share: float) -> Iterator[str]:
    """A line for each thing of which there is more; memory may have grown by `memory_share`."""
    for name, count in sorted(after.counts.items()):
        had = before.counts.get(name, 0)
        allowed = max(had, KEPT.get(name, 0))
        if count > allowed:
            yield f"{name}: {had} before, {count} after"
    if after.rss_mb > before.rss_mb * (1 + memory_share):
        yield f"memory: {before.rss_mb:.0f} MB after the warm-up, {after.rss_mb:.0f} MB after the load"
