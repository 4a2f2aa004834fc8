"""What there is inside of a gateway's process at one moment, in numbers: to be called where it runs.

Containers are found by walking from the gateway along the attributes of the service's own objects, so that a map that
somebody adds tomorrow is counted tomorrow.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTAINERS = (dict, list, set, deque)
OURS = ("service.", "bench.soak.", "tests.")
CONSTANT = ("service.contract.", "service.settings", "service.routing.model", "service.routing.names")
"""What is made once from documents and never changes by a request."""
WALKED = 50_000
"""Objects that one walk looks at; more than that is a leak of its own and shows in the counts."""


@dataclass(frozen=True, slots=True)
class Census:
    """`counts` by name: tasks, descriptors, connections, entries of maps, objects.

    `rss_mb` is resident memory in 10^6 bytes, of which the C library holds free `slack_mb` that it could give back.
    """

    counts: Mapping[str, int]
    rss_mb: float
    slack_mb: float = 0.0


def take(gateway: Any, server: Any) -> Census:
    """Count everything. Takes some tens of milliseconds, in which nothing else runs."""
    gc.collect()
    counts: Counter[str] = Counter()
    counts["tasks"] = len(asyncio.all_tasks())
    counts["callers' connections"] = len(server.server_state.connections)
    counts["requests being answered"] = len(server.server_state.tasks)
    counts["open requests"] = gateway.open_requests
    counts["bytes of bodies"] = gateway.body_bytes
    for target in _descriptors():
        counts["descriptors"] += 1
        counts["sockets"] += target.startswith("socket:")
    counts.update(_entries(gateway))
    counts.update(_objects())
    resident_mb = _rss_mb()
    _trim()
    rss_mb = _rss_mb()
    return Census(dict(counts), rss_mb, max(0.0, resident_mb - rss_mb))


def _descriptors() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        try:
            yield str(link.readlink())
        except OSError:  # the one that listed the folder
            continue


def _entries(root: Any) -> Counter[str]:
    """How many entries the containers of the service's objects hold, by `Class.attribute`."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    waiting = [root]
    while waiting and len(seen) < WALKED:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for name, value in _members(one):
            if isinstance(value, CONTAINERS):
                counts[f"entries of {type(one).__name__}.{name}"] += len(value)
                waiting += [each for each in _contents(value) if _is_ours(each)]
            elif _is_ours(value):
                waiting.append(value)
    return counts


def _members(one: Any) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(one, "__dict__", {}).items())
    for kind in type(one).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(one, name):
                yield name, getattr(one, name)


def _contents(container: Any) -> Iterator[Any]:
    for each in list(container.values() if isinstance(container, dict) else container):
        yield from each if isinstance(each, tuple) else (each,)
    if isinstance(container, dict):
        yield from list(container)


def _is_ours(value: Any) -> bool:
    module = type(value).__module__
    return module.startswith(OURS) and not module.startswith(CONSTANT)


def _objects() -> Counter[str]:
    """How many objects of the service's classes are alive, reachable from the gateway or not."""
    found = Counter(type(one) for one in gc.get_objects())
    return Counter(
        {
            f"objects {kind.__module__.removeprefix('service.')}.{kind.__qualname__}": number
            for kind, number in found.items()
            if kind.__module__.startswith(OURS[0]) and not kind.__module__.startswith(CONSTANT)
        }
    )


def _trim() -> None:
    """Have glibc give free memory back. It keeps what large bodies left between small things, and that is no leak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
