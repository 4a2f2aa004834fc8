"""What the tests of the wires share."""

from __future__ import annotations

import pytest

from service.wires import client


@pytest.fixture
def lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left to end by itself, instead of being closed at once, stays open for longer than any test waits."""
    monkeypatch.setattr(client, "LINGER_SECONDS", 60.0)
