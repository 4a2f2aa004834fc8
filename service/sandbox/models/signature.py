"""Gemini's thought signatures: given out with the first tool call of a turn, demanded back with it."""

from __future__ import annotations

import base64
import hashlib

SKIP = "skip_thought_signature_validator"
"""Google's word for a call that Gemini did not make, or whose signature is lost."""


def thought_signature(call_id: str) -> str:
    """The signature of one call; its bytes mean nothing, as Google's mean nothing to others."""
    return base64.b64encode(hashlib.sha256(f"thought {call_id}".encode()).digest() * 3).decode()
