"""One way to use openai's synchronous and its asynchronous client, so that every claim is made about both."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import openai

from tests.running import TOKEN

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Speaker:
    """A client of either kind. Members of a request are the SDK's own arguments."""

    client: openai.OpenAI | openai.AsyncOpenAI

    async def create(self, **members: Any) -> Any:
        """A whole answer."""
        return await settled(self.client.chat.completions.create(**members))

    async def parse(self, **members: Any) -> Any:
        """A whole answer, with what the SDK made of its JSON."""
        return await settled(self.client.chat.completions.parse(**members))

    async def chunks(self, **members: Any) -> list[Any]:
        """Every chunk of a streamed answer."""
        return await listed(await settled(self.client.chat.completions.create(stream=True, **members)))

    async def accumulate(self, **members: Any) -> tuple[list[Any], Any]:
        """What the SDK's helper tells while it adds a stream up, and the completion that it ends with."""
        manager = self.client.chat.completions.stream(**members)
        if isinstance(self.client, openai.OpenAI):
            with manager as stream:
                return list(stream), stream.get_final_completion()
        async with manager as stream:
            return [event async for event in stream], await stream.get_final_completion()

    async def raw(self, **members: Any) -> Any:
        """The response with its headers; `.parse()` gives the answer."""
        return await settled(self.client.chat.completions.with_raw_response.create(**members))


@asynccontextmanager
async def speaking(url: str, kind: str, wire: str | None = None, **options: Any) -> AsyncIterator[Speaker]:
    """A `sync` or `async` client that holds every answer against the SDK's own types, and tries only once."""
    members: dict[str, Any] = {
        "base_url": f"{url}/v1",
        "api_key": TOKEN,
        "max_retries": 0,
        "timeout": PATIENCE_SECONDS,
        "default_headers": {} if wire is None else {"x-proxy-wire": wire},
        "_strict_response_validation": True,
        **options,
    }
    # Without the costly look at the machine's certificates and proxies.
    bare: dict[str, Any] = {"verify": False, "trust_env": False}
    if kind == "sync":
        with openai.OpenAI(http_client=openai.DefaultHttpxClient(**bare), **members) as client:
            yield Speaker(client)
    else:
        async with openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient(**bare), **members) as client:
            yield Speaker(client)


async def settled(value: Any) -> Any:
    """The value, awaited where that is needed."""
    return await value if inspect.isawaitable(value) else value


async def listed(items: Any) -> list[Any]:
    """Everything that comes out of an iterator of either kind."""
    return [item async for item in items] if hasattr(items, "__aiter__") else list(items)
