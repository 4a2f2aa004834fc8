"""What a caller saw, taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.running import TOKEN

KEEPALIVE = ": keep-alive"


@dataclass
class Seen:
    """One reply. `text` is all of the content; `error` the error object, be it the body or in band."""

    status: int
    headers: httpx.Headers
    text: str = ""
    finish: str | None = None
    error: dict[str, Any] | None = None
    done: bool = False
    model: str = ""
    comments: int = 0
    after_error: list[str] = field(default_factory=list)


def ask(client: httpx.Client, url: str, *, stream: bool, wire: str | None, **members: Any) -> httpx.Response:
    """Ask one question and wait for all of the answer; a body that does not end properly raises."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **members}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if wire is not None:
        headers["x-proxy-wire"] = wire
    return client.post(f"{url}/v1/chat/completions", json=body, headers=headers)


def read(response: httpx.Response) -> Seen:
    """Take a reply apart, whatever it is."""
    seen = Seen(response.status_code, response.headers)
    if response.headers["content-type"].startswith("text/event-stream"):
        for block in response.text.split("\n\n"):
            _block(seen, block.strip("\n"))
        return seen
    body = response.json()
    if "error" in body:
        seen.error = body["error"]
    else:
        seen.model, choice = body["model"], body["choices"][0]
        seen.text, seen.finish = choice["message"]["content"], choice["finish_reason"]
        seen.done = True
    return seen


def _block(seen: Seen, block: str) -> None:
    if not block:
        return
    if block.startswith(":"):
        seen.comments += 1
        return
    if seen.error is not None or seen.done:
        seen.after_error.append(block)
        return
    data = block.removeprefix("data: ")
    if data == "[DONE]":
        seen.done = True
        return
    chunk = orjson.loads(data)
    if "error" in chunk:
        seen.error = chunk["error"]
        return
    seen.model = chunk["model"]
    for choice in chunk["choices"]:
        seen.text += choice["delta"].get("content") or ""
        seen.finish = choice["finish_reason"] or seen.finish
