"""The caller: asks for one stream, reads it to its end, and notes what it saw. It judges nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from bench.failover.answer import QUESTION

MAX_BODY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A gateway; `url` ends before `/chat/completions`. `models`: the fallback is named in the body."""

    url: str
    token: str = field(default="", repr=False)
    wire: str | None = None
    models: bool = True

    def headers(self) -> dict[str, str]:
        """What a request carries."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return headers | ({"x-proxy-wire": self.wire} if self.wire else {})


@dataclass(slots=True)
class Seen:
    """One answer as it reached the caller. `seconds` since it asked; `broken`: the body had no proper end.

    `errors` are the messages of errors, as the whole answer or in band; `junk`: something that no client can read, or
    that came after the end.
    """

    asked_at: float
    seconds: float = 0.0
    status: int = 0
    text: str = ""
    reasons: list[str] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    junk: list[str] = field(default_factory=list)
    done: bool = False
    usage: bool = False
    broken: bool = False
    hung: bool = False


class Caller:
    """Asks one gateway. `session` is the caller's own, so that connections are kept or not as it likes."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint) -> None:
        self._session = session
        self._endpoint = endpoint

    async def ask(self, model: str, fallback: str, *, within: float) -> Seen:
        """One streamed answer; what came of it in `within` seconds where it does not end."""
        seen = Seen(time.monotonic())
        try:
            async with asyncio.timeout(within), self._post(model, fallback) as response:
                seen.status = response.status
                body = b""
                async for part in response.content.iter_any():
                    body += part
                    if response.status == 200:
                        body = _events(body, seen)
                    elif len(body) > MAX_BODY_BYTES:
                        break
                _rest(body, seen)
        except TimeoutError:
            seen.hung = True
        except aiohttp.ClientError:
            seen.broken = True
        seen.seconds = time.monotonic() - seen.asked_at
        return seen

    def _post(self, model: str, fallback: str) -> Any:
        body: dict[str, object] = {
            "model": model,
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._endpoint.models:
            body["models"] = [fallback]
        url = f"{self._endpoint.url}/chat/completions"
        return self._session.post(url, json=body, headers=self._endpoint.headers())


def _events(body: bytes, seen: Seen) -> bytes:
    """Take what is whole of an event stream; what is left of it."""
    *events, rest = body.replace(b"\r\n", b"\n").split(b"\n\n")
    for event in events:
        lines = [line for line in event.split(b"\n") if line and not line.startswith(b":")]
        data = b"\n".join([line[5:].strip() for line in lines if line.startswith(b"data:")])
        if data:
            _event(data, seen)
    return rest


def _event(data: bytes, seen: Seen) -> None:
    if seen.done:
        seen.junk.append("an event after [DONE]")
    if data == b"[DONE]":
        seen.done = True
        return
    chunk = _load(data)
    if not isinstance(chunk, dict):
        seen.junk.append("an event that is no JSON object")
        return
    if chunk.get("error"):
        seen.errors.append(_message(chunk["error"]))
        return
    if isinstance(chunk.get("model"), str):
        seen.models.add(chunk["model"])
    seen.usage = seen.usage or bool(chunk.get("usage"))
    for choice in chunk.get("choices") or ():
        seen.text += (choice.get("delta") or {}).get("content") or ""
        if choice.get("finish_reason"):
            seen.reasons.append(choice["finish_reason"])


def _rest(body: bytes, seen: Seen) -> None:
    """What is left at the end: of a stream nothing, of a refusal all of it."""
    if seen.status == 200:
        if body.strip() and not body.startswith(b":"):
            seen.junk.append("half an event at the end")
        return
    told = _load(body)
    error = told.get("error") if isinstance(told, dict) else None
    if error:
        seen.errors.append(_message(error))
    else:
        seen.junk.append(f"a {seen.status} without an error in JSON")


def _message(error: object) -> str:
    return str(error.get("message") if isinstance(error, Mapping) else error)[:500]


def _load(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
