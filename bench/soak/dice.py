"""What the soak asks, thrown by seeded dice: the mix of requests, and the mix of faults among them."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["whole", "stream", "tools", "big", "file", "fault", "leaver", "slow", "list", "refused"]

MIX: Mapping[Kind, int] = MappingProxyType(
    {
        "whole": 18,
        "stream": 22,
        "tools": 10,
        "big": 6,
        "file": 5,
        "fault": 22,
        "leaver": 10,
        "slow": 2,
        "list": 2,
        "refused": 3,
    }
)
"""Requests of each kind in a hundred."""

FAULTS: Mapping[str, int] = MappingProxyType(
    {
        "status 500": 6,
        "once status 500": 14,
        "once status 503": 8,
        "status 400": 3,
        "once status 429 retry-after 1": 8,
        "once status 401": 1,
        "html 502": 4,
        "once late 2": 4,
        "once stall 2 after 2": 4,
        "stall 0.2 after 5": 4,
        "once malformed": 5,
        "malformed after 5": 5,
        "cut": 4,
        "cut after 5": 10,
        "reset": 4,
        "reset after 5": 8,
        "no-end": 4,
        "empty": 4,
    }
)
"""Of a hundred requests with a fault."""

WIRES = ("chat", "bot", "")
TALKERS = ("sandbox-echo", "sandbox-bot", "sandbox-reasoner", "sandbox-slow", "sandbox-rewriter")
BIG_BYTES = 300_000
MAX_LEAVE_SECONDS = 0.4
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
    },
}
STREAMED = 0.5
"""The share of those that may be either."""


@dataclass(frozen=True, slots=True)
class Throw:
    """One request: what is asked how. `leave_after` in seconds, None for those who stay."""

    kind: Kind
    body: Mapping[str, Any]
    wire: str
    leave_after: float | None = None

    @property
    def stream(self) -> bool:
        """Whether the answer comes in events."""
        return bool(self.body.get("stream"))


class Dice:
    """Throws requests; the same seed throws the same ones in the same order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a mix of requests, no secret
        self._number = 0

    def throw(self) -> Throw:
        """The next request."""
        dice = self._random
        self._number += 1
        kind = dice.choices(tuple(MIX), tuple(MIX.values()))[0]
        body = self._body(kind)
        wire = dice.choice(WIRES)
        leave_after = dice.uniform(0, MAX_LEAVE_SECONDS) if kind == "leaver" else None
        return Throw(kind, body, "bot" if kind == "file" else wire, leave_after)

    def _body(self, kind: Kind) -> dict[str, Any]:
        dice = self._random
        said = f"Say number {self._number} once."
        body: dict[str, Any] = {"model": dice.choice(TALKERS), "messages": [{"role": "user", "content": said}]}
        if kind not in ("whole", "slow"):
            body["stream"] = kind == "stream" or dice.random() < STREAMED
        if kind == "tools":
            body |= {"model": "sandbox-tools", "tools": [TOOL]}
        elif kind == "big":
            body["messages"] = [
                {"role": "user", "content": "word " * (BIG_BYTES // 5)},
                {"role": "assistant", "content": "I have read it."},
                *body["messages"],
            ]
        elif kind == "file":
            body |= {"model": "sandbox-vision", "messages": [{"role": "user", "content": self._with_file(said)}]}
        elif kind == "fault":
            body |= self._fault(said)
        elif kind == "leaver":
            body["messages"][0]["content"] = f"delay: {dice.choice((0, 1))} speed: 10\n{said}"
            body["model"] = "sandbox-slow"
        elif kind == "slow":
            body |= {"model": "sandbox-echo", "stream": True}
            body["messages"][0]["content"] = "word " * (BIG_BYTES // 20)
        elif kind == "refused":
            body["messages"] = dice.choice(([], "nothing", [{"role": "nobody", "content": said}]))
        return body

    def _fault(self, said: str) -> dict[str, Any]:
        """A fault; half of them with a fallback, half at temperature 0, where a cut answer is mended."""
        dice = self._random
        words = dice.choices(tuple(FAULTS), tuple(FAULTS.values()))[0]
        content = f"fail: {words}\n{said} It goes on for a few more words so that there is something to cut."
        body: dict[str, Any] = {"model": "sandbox-failing", "messages": [{"role": "user", "content": content}]}
        if dice.random() < 0.5:
            body["models"] = ["sandbox-echo"]
        if dice.random() < 0.5:
            body["temperature"] = 0
        return body

    def _with_file(self, said: str) -> list[dict[str, Any]]:
        """One of a few files, so that some are known already."""
        content = base64.b64encode(f"file {self._random.randrange(20)} ".encode() * 500).decode()
        return [
            {"type": "text", "text": said},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{content}"}},
        ]
