"""Talking to a sandbox directly: chat completions over httpx, bots over fastapi_poe's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import fastapi_poe
import httpx

KEY = "any-key-will-do"
WEATHER = {
    "type": "function",
    "function": {
        "name": "getWeather",
        "description": "Get the current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city"}},
            "required": ["location"],
            "additionalProperties": False,
            "$schema": "http://json-schema.org/draft-07/schema#",
        },
    },
}


def get(url: str, **options: Any) -> httpx.Response:
    """A GET without the costly look at the machine's certificates and proxies."""
    return httpx.get(url, timeout=20, verify=False, trust_env=False, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """The same for a POST."""
    return httpx.post(url, timeout=20, verify=False, trust_env=False, **options)


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def post_chat(
    url: str, model: str, messages: str | list[dict[str, Any]], *, key: str = KEY, **body: Any
) -> httpx.Response:
    """One chat completions request; a stream is read to its end."""
    turns = user(messages) if isinstance(messages, str) else messages
    return post(
        f"{url}/v1/chat/completions",
        json={"model": model, "messages": turns, **body},
        headers={"authorization": f"Bearer {key}"},
    )


def message_of(response: httpx.Response) -> dict[str, Any]:
    """The message of a whole answer."""
    assert response.status_code == 200, response.text
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


def chunks_of(text: str) -> list[Any]:
    """The data of a stream, parsed; `[DONE]` and what is no JSON stay text."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [_parsed(line) for line in lines]


def content_of(text: str) -> str:
    """The visible text of a stream."""
    deltas = [
        chunk["choices"][0]["delta"] for chunk in chunks_of(text) if isinstance(chunk, dict) and chunk.get("choices")
    ]
    return "".join(delta.get("content") or "" for delta in deltas)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line


def query(messages: Sequence[Mapping[str, Any]], **members: Any) -> fastapi_poe.QueryRequest:
    """A query as API callers send it: with empty ids."""
    turns = [fastapi_poe.ProtocolMessage(**message) for message in messages]
    ids = {"user_id": "", "conversation_id": "", "message_id": ""}
    return fastapi_poe.QueryRequest(version="1.2", type="query", query=turns, **{**ids, **members})


def ask_bot(
    url: str,
    name: str,
    messages: str | Sequence[Mapping[str, Any]],
    *,
    key: str = KEY,
    tools: Any = None,
    **members: Any,
) -> list[fastapi_poe.PartialResponse]:
    """Everything that fastapi_poe's own client reads from a bot. A stream without `done` raises RuntimeError."""
    turns = user(messages) if isinstance(messages, str) else messages

    def on_error(error: Exception, message: str) -> None:
        if str(error).startswith("Bot exited without"):
            raise RuntimeError("no done")

    async def run() -> list[fastapi_poe.PartialResponse]:
        definitions = None if tools is None else [fastapi_poe.ToolDefinition(**tool) for tool in tools]
        async with httpx.AsyncClient(timeout=20, verify=False, trust_env=False) as session:
            stream = fastapi_poe.client.stream_request_base(
                query(turns, **members),
                name,
                key,
                tools=definitions,
                base_url=f"{url}/bot/",
                num_tries=1,
                session=session,
                on_error=on_error,
            )
            return [message async for message in stream]

    return asyncio.run(run())


def text_of(messages: Sequence[fastapi_poe.PartialResponse]) -> str:
    """What stands in the end: replacements counted, suggested replies not."""
    text = ""
    for message in messages:
        if message.is_suggested_reply:
            continue
        text = message.text if message.is_replace_response else text + message.text
    return text


def post_query(url: str, name: str, text: str, *, key: str = KEY, **body: Any) -> httpx.Response:
    """The smallest query that works, over plain HTTP."""
    ids = {"user_id": "", "conversation_id": "", "message_id": ""}
    return post(
        f"{url}/bot/{name}",
        json={"version": "1.2", "type": "query", "query": user(text), **ids, **body},
        headers={"authorization": f"Bearer {key}"},
    )


def events_of(text: str) -> list[tuple[str, Any]]:
    """The events of a bot's stream: name and parsed data."""
    blocks = [block.split("\r\n") for block in text.split("\r\n\r\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), _parsed(data.removeprefix("data: "))) for name, data in blocks]


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true within ten seconds."""

    async def wait() -> bool:
        for _ in range(1000):
            if condition():
                return True
            await asyncio.sleep(0.01)
        return False

    return asyncio.run(wait())
