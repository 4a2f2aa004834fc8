"""Gateways that keep what they should let go, each in one way, for the soak to find. To be imported where they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from service.gateway import Gateway
from service.observe.record import Record


def _at_each_end(gateway: Gateway, keep: Callable[[Record], Any]) -> None:
    finished = gateway.finished

    def and_keep(record: Record) -> None:
        finished(record)
        keep(record)

    vars(gateway)["finished"] = and_keep


def entries(gateway: Gateway) -> None:
    """A map that nobody bounds."""
    kept: dict[int, int] = {}
    vars(gateway)["remembered"] = kept
    _at_each_end(gateway, lambda record: kept.setdefault(len(kept), 1))


def tasks(gateway: Gateway) -> None:
    """Tasks that nobody ends."""
    kept: set[asyncio.Task[None]] = set()
    _at_each_end(gateway, lambda record: kept.add(asyncio.ensure_future(asyncio.sleep(3600))))


def descriptors(gateway: Gateway) -> None:
    """Files that nobody closes."""
    _at_each_end(gateway, lambda record: os.open(os.devnull, os.O_RDONLY))


def objects(gateway: Gateway) -> None:
    """Records that a closure holds, where no walk along attributes finds them."""
    kept: list[Record] = []
    _at_each_end(gateway, kept.append)


def memory(gateway: Gateway) -> None:
    """Bytes without a name."""
    kept: list[bytearray] = []
    _at_each_end(gateway, lambda record: kept.append(bytearray(b"x" * 2_000_000)))


def in_every_way(gateway: Gateway) -> None:
    """All of these."""
    for leak in (entries, tasks, descriptors, objects, memory):
        leak(gateway)
