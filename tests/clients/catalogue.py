"""Waiting until a gateway knows the sandbox's models, since the first list comes while it already answers."""

from __future__ import annotations

import time

import httpx

from tests.running import TOKEN

PATIENCE_SECONDS = 15.0


def await_catalogue(url: str) -> None:
    """Return once the gateway at `url` lists what the sandbox lists."""
    end = time.monotonic() + PATIENCE_SECONDS
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        while not any(model["id"] == "sandbox-echo" for model in client.get("/v1/models").json()["data"]):
            assert time.monotonic() < end, "the catalogue did not come"
            time.sleep(0.02)
