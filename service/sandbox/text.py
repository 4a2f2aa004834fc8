"""JSON as text, the way providers write it."""

from __future__ import annotations

import json
from typing import Any


def compact_json(value: Any) -> str:
    """JSON with blanks after its separators and every letter as itself."""
    return json.dumps(value, ensure_ascii=False)
