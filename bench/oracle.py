"""The same job as most people do it: FastAPI in front, the client of `fastapi_poe` behind, the way its manual says.

One try, one shared connection pool. Nothing is checked, logged or counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import uuid4

import fastapi_poe
import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi_poe.client import stream_request_base
from pydantic import BaseModel

BOT_ROLES: dict[str, Literal["bot", "user", "system"]] = {"assistant": "bot", "user": "user", "system": "system"}


class ChatMessage(BaseModel):
    """A turn of the conversation."""

    role: str
    content: str


class ChatRequest(BaseModel):
    """As much of a chat completion request as the bench sends."""

    model: str
    messages: list[ChatMessage]
    stream: bool = False


def make_app(upstream: str) -> FastAPI:
    """The application, calling bots under `upstream`."""
    sessions: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=600, limits=limits) as session:
            sessions.append(session)
            yield

    app = FastAPI(lifespan=lifespan)

    def texts(request: ChatRequest) -> AsyncIterator[fastapi_poe.PartialResponse]:
        query = [
            fastapi_poe.ProtocolMessage(role=BOT_ROLES[message.role], content=message.content)
            for message in request.messages
        ]
        poe_request = fastapi_poe.QueryRequest(
            version="1.2", type="query", query=query, user_id="", conversation_id="", message_id=""
        )
        return stream_request_base(
            poe_request,
            request.model,
            "bench-key",
            session=sessions[0],
            num_tries=1,
            base_url=f"{upstream}/bot/",
        )

    @app.get("/health")
    async def health() -> str:
        return "OK"

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: ChatRequest) -> dict[str, Any] | StreamingResponse:
        if request.stream:
            return StreamingResponse(_events(request.model, texts(request)), media_type="text/event-stream")
        content = "".join([partial.text async for partial in texts(request)])
        message = {"role": "assistant", "content": content}
        return _answer(request.model, "chat.completion", {"message": message, "finish_reason": "stop"})

    return app


def _answer(model: str, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, **choice}],
    }


async def _events(model: str, texts: AsyncIterator[fastapi_poe.PartialResponse]) -> AsyncIterator[str]:
    chunk = _answer(model, "chat.completion.chunk", {"delta": {"role": "assistant", "content": ""}})
    chunk["choices"][0]["finish_reason"] = None
    yield f"data: {json.dumps(chunk)}\n\n"
    async for partial in texts:
        chunk["choices"][0]["delta"] = {"content": partial.text}
        yield f"data: {json.dumps(chunk)}\n\n"
    chunk["choices"][0].update(delta={}, finish_reason="stop")
    yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def main() -> None:
    """Serves as told on the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.oracle", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="base URL")
    options = parser.parse_args()
    uvicorn.run(
        make_app(options.upstream), host="127.0.0.1", port=options.port, loop="uvloop", http="httptools",
        access_log=False, log_level="warning",
    )  # fmt: skip


if __name__ == "__main__":
    main()
