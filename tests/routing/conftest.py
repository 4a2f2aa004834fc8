"""What the tests of routing share: Poe's recorded list, a row of it, a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.routing.catalogue import Catalogue
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def recorded_list(root: Path) -> bytes:
    """The body of a real answer to `GET /v1/models`."""
    path = root.parent / "shared/recordings/poe/v1-models.json"
    if not path.exists():
        pytest.skip("no recordings here")
    return orjson.dumps(orjson.loads(path.read_bytes())["response"]["body"])


@pytest.fixture(scope="session")
def recorded(recorded_list: bytes) -> Catalogue:
    """A catalogue that has read the recording."""
    catalogue = Catalogue()
    catalogue.replace(recorded_list)
    return catalogue


@pytest.fixture(scope="session")
def list_of() -> Callable[..., bytes]:
    """Writes a list as Poe does: each row an id, or a mapping of members that differ from an ordinary row's."""

    def write(*rows: Any) -> bytes:
        return orjson.dumps({"object": "list", "data": [_row(row) for row in rows]})

    return write


def _row(members: Any) -> Any:
    if isinstance(members, str):
        members = {"id": members}
    if not isinstance(members, dict):
        return members
    id_ = members.get("id", "")
    plain = {
        "object": "model",
        "root": id_,
        "created": 1770262891433,
        "description": "One of many.",
        "owned_by": "Anthropic",
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "supported_features": ["tools"],
        "supported_endpoints": ["/v1/chat/completions"],
        "pricing": None,
        "context_window": {"context_length": 983040, "max_output_tokens": 128000},
        "context_length": 983040,
        "metadata": {"display_name": id_.title() if isinstance(id_, str) else None},
        "reasoning": None,
        "parameters": [],
    }
    return {**plain, **members}
