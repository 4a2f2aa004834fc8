"""Gemini's thought signatures: given out with a tool call, demanded back with it."""

from __future__ import annotations

import base64
import hashlib


def thought_signature(call_id: str) -> str:
    """The signature of one call; its bytes mean nothing, as Google's mean nothing to others."""
    return base64.b64encode(hashlib.sha256(f"thought {call_id}".encode()).digest() * 3).decode()
