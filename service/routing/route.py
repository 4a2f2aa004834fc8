"""Where a request goes: a wire, Poe's name for the model there, and what is known of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.routing.model import Model

WireName = Literal["bot", "chat"]


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a model. `model` is None for a name that the catalogue does not know."""

    wire: WireName
    name: str
    model: Model | None = None
