"""An integer as JSON Schema means it: 1.0 is one too."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Strict

BEYOND = 2.0**63
"""From here on a float is what is left of an integer that was too long to read, and tells another number."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < BEYOND else value


StrictInt = Annotated[int, Strict(), BeforeValidator(_whole)]
