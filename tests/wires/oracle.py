"""The oracle: what fastapi_poe's own client makes of the same bytes, without its network, retries and reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import fastapi_poe as fp
import httpx
from fastapi_poe.client import stream_request_base


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


@dataclass
class Heard:
    """What the client yielded, and what it told its error callback. `failure`: the exception that it ended with."""

    text: str = ""
    files: list[tuple[str, str, str]] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    failure: str | None = None


def _respond(chunks: Sequence[bytes], status: int) -> httpx.MockTransport:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.headers["accept"] != "text/event-stream":
            return httpx.Response(200, json={})  # a report of an error, posted to the bot
        return httpx.Response(status, headers={"content-type": "text/event-stream"}, stream=_Chunks(chunks))

    return httpx.MockTransport(respond)


async def heard(chunks: Sequence[bytes], *, status: int = 200) -> Heard:
    """What fastapi_poe's client hears of a body that comes in `chunks`."""
    found = Heard()
    query = [fp.ProtocolMessage(role="user", content="hi")]
    request = fp.QueryRequest(version="1.2", type="query", query=query, user_id="", conversation_id="", message_id="")
    texts: list[str] = []
    async with httpx.AsyncClient(transport=_respond(chunks, status)) as session:
        try:
            async for message in stream_request_base(
                request,
                "bot",
                "key",
                session=session,
                num_tries=1,
                on_error=lambda error, _: found.complaints.append(str(error)),
            ):
                _hear(message, texts, found)
        except Exception as error:
            found.failure = f"{type(error).__name__}: {error}"
    # The client gives the halves of a surrogate pair that its sender cut as they come.
    found.text = "".join(texts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return found


def _hear(message: fp.PartialResponse, texts: list[str], found: Heard) -> None:
    if message.is_suggested_reply or isinstance(message, fp.MetaResponse):
        return
    if message.attachment is not None:
        file = message.attachment
        found.files.append((file.url, file.content_type, file.name))
    elif message.data is not None:
        found.chunks.append(message.data)
    elif message.is_replace_response:
        texts[:] = [message.text]
    else:
        texts.append(message.text)
