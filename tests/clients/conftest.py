"""openai's Python clients, synchronous and asynchronous, before the shared gateway and its sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.clients.speaker import Speaker, speaking
from tests.running import Running


@pytest.fixture(scope="session")
def served(gateway: Running) -> Running:
    """The shared gateway."""
    return gateway


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the SDK's two clients."""
    name: str = request.param
    return name


@pytest.fixture(params=["chat", "bot"])
def wire(request: pytest.FixtureRequest) -> str:
    """Which of Poe's endpoints the gateway uses."""
    name: str = request.param
    return name


@pytest.fixture
async def client(served: Running, kind: str, wire: str) -> AsyncIterator[Speaker]:
    """A client that asks for one wire."""
    async with speaking(served.url, kind, wire) as made:
        yield made


@pytest.fixture
async def anywhere(served: Running, kind: str) -> AsyncIterator[Speaker]:
    """A client that leaves the wire to the gateway."""
    async with speaking(served.url, kind) as made:
        yield made
