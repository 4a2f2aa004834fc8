"""What every test stands on: asyncio alone, and none of the settings of the shell that started it."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from service.settings import Settings

# At import, so that neither a module's import nor a session's fixture can read a real key out of the developer's shell.
for setting in fields(Settings):
    os.environ.pop(setting.name.upper(), None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, which the service runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parent.parent
