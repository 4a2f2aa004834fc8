"""What providers want back with a tool call, kept by our id of the call for callers that drop it.

Gemini answers the next turn with an error when its thought signature is missing, and most programs know nothing of
it. Kept in this process only: a caller that returns what it was given needs none of this.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from service.prompt import Call

Opaque = Callable[[str], Mapping[str, Any] | None]
"""Looks up what a provider wants echoed with a call, by our id of the call."""

UNSIGNED: Mapping[str, Any] = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""Google's own word for a call that Gemini did not make, or whose signature is lost."""
KEPT_SECONDS = 3600.0
MAX_CALLS = 4096
MAX_BYTES = 64 * 1024
"""Of one call's members; a larger one is passed on but not kept."""


def returned(calls: Sequence[Call], opaque: Opaque, *, signed: bool) -> list[Mapping[str, Any] | None]:
    """What goes back with each call of one turn, if anything: the caller's own, else what is kept.

    `signed`: the model refuses a turn whose first call has no signature. The calls beside it never have one.
    """
    found = [call.opaque or opaque(call.id) for call in calls]
    if signed and found and not found[0]:
        found[0] = UNSIGNED
    return found


class OpaqueStore:
    """A bounded map with an end for each entry; what was used last is forgotten last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def keep(self, call_id: str, opaque: Mapping[str, Any]) -> None:
        """Remember what came with a call."""
        written = orjson.dumps(opaque)
        if len(written) > MAX_BYTES:
            return
        self._kept[call_id] = (self._clock() + KEPT_SECONDS, written)
        self._kept.move_to_end(call_id)
        if len(self._kept) > MAX_CALLS:
            self._kept.popitem(last=False)

    def get(self, call_id: str) -> Mapping[str, Any] | None:
        """What came with a call, while it is remembered."""
        ends, written = self._kept.get(call_id, (0.0, b""))
        if not written:
            return None
        if self._clock() >= ends:
            del self._kept[call_id]
            return None
        self._kept.move_to_end(call_id)
        found: Mapping[str, Any] = orjson.loads(written)
        return found

    def __len__(self) -> int:
        return len(self._kept)
