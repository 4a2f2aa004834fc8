"""One call of a wire: everything that it needs to know, and nothing of HTTP or the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from service.frozen import frozen
from service.prompt import Prompt
from service.routing.route import Route
from service.waiting import Waiting


def _nothing(name: str) -> None:
    """What happens to the name of a member where nobody wants to know."""


def _no_news() -> None:
    """What happens where nobody wants to know that Poe takes the key."""


@frozen
class UpstreamCall:
    """A prompt on its way to one route with one key.

    `parameters` are the model's own parameters, already lifted and checked. Timeouts are in seconds (interface,
    settings): `first_event` to the first sign of work, `answer` to the first visible event (or a whole answer),
    `idle` between two events after it. `notice` takes a sentence for `x-proxy-notice`.
    `refused` names request members that this route is known to answer with 400; `drop` takes the name of one that was
    left out for that. The wire adds what it waits to `waiting`. `rates` takes what the head of an answer, whatever its
    status, says of the account's rate: requests a minute, how many are left, and for how many seconds. `accepted` hears
    that Poe has begun to work with this key, where that can be told before any event.
    """

    prompt: Prompt
    route: Route
    key_name: str
    secret: str = field(repr=False)
    parameters: Mapping[str, Any]
    first_event_seconds: float
    answer_seconds: float
    idle_seconds: float
    notice: Callable[[str], None]
    refused: frozenset[str] = frozenset()
    drop: Callable[[str], None] = _nothing
    accepted: Callable[[], None] = _no_news
    rates: Callable[[int | None, int | None, float | None], None] | None = None
    waiting: Waiting = field(default_factory=Waiting)
