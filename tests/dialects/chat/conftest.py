"""A gateway in front of a sandbox that tells what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from service.sandbox.state import Sandbox, SandboxCall
from tests.contract.replies import assert_conforms
from tests.running import TOKEN, Running, running, sandboxed

PATH = "/v1/chat/completions"


@dataclass
class Talk:
    """A conversation partner: every reply is held against the contract."""

    client: httpx.Client
    gateway: Running
    sandbox: Sandbox

    def ask(self, body: dict[str, Any], wire: str | None = None, **headers: str) -> httpx.Response:
        """POST a body; what the sandbox was asked for it is in `upstream` afterwards."""
        self.sandbox.calls.clear()
        if wire is not None:
            headers["x-proxy-wire"] = wire
        reply = self.client.post(PATH, json=body, headers=headers)
        kind = reply.headers["content-type"]
        assert_conforms("POST", PATH, reply.status_code, kind, reply.content, dict(reply.headers))
        return reply

    @property
    def upstream(self) -> list[SandboxCall]:
        """The questions of models that the last `ask` led to."""
        return [call for call in self.sandbox.calls if call.endpoint in (PATH, "/bot/")]

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last of them."""
        body: dict[str, Any] = self.upstream[-1].body
        return body


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    """A fresh pair of gateway and sandbox for one file of tests."""
    with sandboxed() as (url, sandbox), running(url) as gateway:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=20) as client:
            yield Talk(client, gateway, sandbox)
