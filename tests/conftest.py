"""What every test stands on: asyncio alone, and none of the settings of the shell that started it."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from service.settings import Settings

if TYPE_CHECKING:
    from tests.running import Running

# At import, so that neither a module's import nor a session's fixture can read a real key out of the developer's shell.
for setting in fields(Settings):
    os.environ.pop(setting.name.upper(), None)

# Where a shell runs the tests in the background or for nohup, these are ignored, and what the tests start would inherit
# that. A handler is not inherited.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# The same examples in every run, and no limit to the time of one: what passed once also passes on a machine that is
# slower or busier. `--hypothesis-profile=default` looks for new ones.
hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, which the service runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """A sandbox that answers at once."""
    from tests.running import sandboxed  # here, so that tests of one part need no other part

    with sandboxed() as (url, _):
        yield url


@pytest.fixture(scope="session")
def gateway(sandbox_url: str) -> Iterator[Running]:
    """A gateway in front of the sandbox, shared by tests that leave it as they found it."""
    from tests.running import running

    with running(sandbox_url) as server:
        yield server


@pytest.fixture(scope="session")
def running_gateway(gateway: Running) -> str:
    """Its base URL, without `/v1`."""
    return gateway.url


@pytest.fixture(scope="session")
def gateway_app(sandbox_url: str) -> Any:
    """The same as an ASGI application, to be called in process by whoever runs its lifespan."""
    from service.app import make_app
    from service.observe.log import Log
    from tests.running import settings_for

    settings = settings_for(sandbox_url)
    return make_app(settings, log=Log("error", "json", io.BytesIO()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured: `record_property("told", "…")` reaches the end of the run from any worker."""
    reports = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    for text in [text for report in reports for name, text in report.user_properties if name == "told"]:
        terminalreporter.write_line(text)
