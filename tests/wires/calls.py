"""Calls of a wire as tests make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.events import Event
from service.prompt import Part, Prompt, TextPart, Turn
from service.routing.model import Model
from service.routing.route import Route
from service.wires.bot import BotWire
from service.wires.call import UpstreamCall

SECRET = "kT3xSecretOf9Mine4711abcdefghij"


def user(*parts: Part | str) -> Turn:
    """A user's turn."""
    return Turn("user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def asking(*turns: Turn, name: str = "Bot", model: Model | None = None, **members: Any) -> UpstreamCall:
    """A call of `name` with these turns; `members` are the prompt's."""
    prompt = Prompt(name, turns or (user("hi"),), stream=True, **members)
    return UpstreamCall(
        prompt=prompt,
        route=Route("bot", name, model),
        key_name="k1",
        secret=SECRET,
        parameters={},
        first_event_seconds=5,
        answer_seconds=5,
        idle_seconds=5,
        notice=lambda sentence: None,
    )


def timed(call: UpstreamCall, **seconds: float) -> UpstreamCall:
    """The same call with other limits: `first_event`, `answer`, `idle`."""
    changes: Mapping[str, Any] = {f"{name}_seconds": value for name, value in seconds.items()}
    return replace(call, **changes)


async def events_of(wire: BotWire, call: UpstreamCall) -> list[Event]:
    """All events of an answer."""
    return [event async for batch in wire.stream(call) for event in batch]
