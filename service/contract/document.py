"""The contract's bytes, as they are served."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent


@cache
def as_yaml() -> bytes:
    """`openapi.yaml` as it was written; it lies beside the package, in the repository and in the image alike."""
    return (_HERE.parent.parent / "openapi.yaml").read_bytes()


@cache
def as_json() -> bytes:
    """Its generated twin, so that nothing has to read YAML while running."""
    return (_HERE / "openapi.json").read_bytes()
