"""A sandbox for each test file, which its tests may fill with history but not break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.sandbox.state import Sandbox
from tests.running import sandboxed


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[tuple[str, Sandbox]]:
    """A sandbox that takes any key and answers at once: its base URL and its state."""
    with sandboxed() as running:
        yield running


@pytest.fixture
def url(running_sandbox: tuple[str, Sandbox]) -> str:
    """Its base URL."""
    return running_sandbox[0]


@pytest.fixture
def state(running_sandbox: tuple[str, Sandbox]) -> Sandbox:
    """Its state."""
    return running_sandbox[1]
