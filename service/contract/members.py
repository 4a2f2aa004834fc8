"""Members of a request that may be absent, null or set."""

from __future__ import annotations

from typing import Any

from pydantic import MISSING


def given(value: Any) -> Any:
    """The value, or None where the member is absent or null: for nearly all members the two mean the same."""
    return None if value is MISSING else value
