"""The bot wire against fastapi_poe's server half, served for real: every event that it can send, and its refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import fastapi_poe as fp
import pytest
import uvicorn
from fastapi import FastAPI
from sse_starlette.event import ServerSentEvent

from service.errors import Failure, Kind
from service.prompt import MediaPart, Tool
from service.wires.bot import BotWire
from service.wires.client import Client
from service.wires.http import open_session
from service.wires.uploads import Uploads
from tests.wires.answers import Answer, fold
from tests.wires.calls import SECRET, asking, events_of, user

URL = "https://pfst.cf2.poecdn.net/base/image/1"


def raw(name: str, data: Any) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data if isinstance(data, str) else json.dumps(data))


def delta(members: dict[str, Any], finish: str | None = None) -> ServerSentEvent:
    return raw("json", {"choices": [{"index": 0, "delta": members, "finish_reason": finish}]})


class EveryEvent(fp.PoeBot):
    """Answers as its name in the path says."""

    async def get_response_with_context(
        self, request: fp.QueryRequest, context: fp.RequestContext
    ) -> AsyncIterator[fp.PartialResponse | ServerSentEvent | fp.DataResponse]:
        name = context.http_request.path_params["name"]
        async for event in getattr(self, f"answer_{name}")(request):
            yield event

    async def answer_text(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.MetaResponse(text="", content_type="text/markdown", linkify=True, suggested_replies=True)
        for word in ("Hello, ", "wörld\n", '"你好" ', "🦉"):
            yield fp.PartialResponse(text=word)
        yield fp.PartialResponse(text="More?", is_suggested_reply=True)
        yield fp.DataResponse(metadata="kept")
        yield raw("ping", {})
        yield ServerSentEvent(comment="ping")

    async def answer_echo(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.PartialResponse(
            text=request.model_dump_json(include={"query", "tools", "temperature", "stop_sequences"})
        )

    async def answer_replace(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        for i in range(3):
            yield fp.PartialResponse(text=f"Drawing ({i} s)", is_replace_response=True)
        yield fp.PartialResponse(text="Drawn", is_replace_response=True)

    async def answer_file(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.PartialResponse(text="", attachment=fp.Attachment(url=URL, content_type="image/png", name="1.png"))
        yield self.file_event(URL + "2", "image/png", "2.png", "aB3dE6gH")
        yield fp.PartialResponse(text="See ![two][aB3dE6gH]")

    async def answer_tools(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        assert request.tools is not None
        function = {"name": request.tools[0].function.name, "arguments": ""}
        yield delta({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})
        yield delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]})
        yield delta({}, "tool_calls")
        yield raw("json", {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}})

    async def answer_error(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.ErrorResponse(text="no points", allow_retry=False, error_type="insufficient_fund")

    async def answer_raise(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.PartialResponse(text="")
        raise RuntimeError("inside")

    async def answer_index(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield raw("text", {"text": "a", "index": 0})
        yield raw("text", {"text": "b", "index": 1})

    async def answer_empty(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.PartialResponse(text="Why?", is_suggested_reply=True)

    async def answer_unknown(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield raw("news", "?")
        yield fp.PartialResponse(text="x")

    async def answer_broken(self, request: fp.QueryRequest) -> AsyncIterator[Any]:
        yield fp.PartialResponse(text="x")
        yield raw("text", '{"text": ')


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a port of loopback, in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()
    keyed = EveryEvent(path="/keyed/bot/{name}", access_key=SECRET)
    other = EveryEvent(path="/other/bot/{name}", access_key="not that one")
    fp.make_app([EveryEvent(path="/bot/{name}"), keyed, other], allow_without_key=True, app=app)
    with served(app) as url:
        yield url


async def answered(url: str, name: str, **members: Any) -> Answer:
    async with await open_session() as session, Client() as client:
        wire = BotWire(client, url, Uploads(session, url))
        return fold(await events_of(wire, asking(name=name, **members)))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", Answer('Hello, wörld\n"你好" 🦉', finish="stop")),
        ("replace", Answer("Drawn", finish="stop")),
        ("file", Answer(f"See ![two]({URL}2)", files=[(URL, "image/png", "1.png")], finish="stop")),
        ("tools", Answer(calls={0: ("call_1", "f", '{"a": 1}')}, finish="tool_calls", usage=(5, 7))),
        ("index", Answer("a", finish="stop")),
        ("unknown", Answer("x", finish="stop")),
    ],
)
async def test_every_event_of_the_server_half_is_understood(url: str, name: str, expected: Answer) -> None:
    assert await answered(url, name, tools=(Tool("f"),)) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "kind"),
    [("error", Kind.DRY), ("raise", Kind.BROKEN), ("empty", Kind.EMPTY), ("broken", Kind.CUT)],
)
async def test_every_failure_of_the_server_half_is_understood(url: str, name: str, kind: Kind) -> None:
    with pytest.raises(Failure) as caught:
        await answered(url, name)
    assert caught.value.kind is kind


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [("/other", "text", Kind.KEY_REVOKED), ("/nowhere", "text", Kind.NO_SUCH_MODEL)],
)
async def test_its_statuses_are_understood(url: str, path: str, name: str, kind: Kind) -> None:
    with pytest.raises(Failure) as caught:
        await answered(url + path, name)
    assert caught.value.kind is kind


@pytest.mark.anyio
async def test_the_key_is_shown_as_the_server_half_wants_it(url: str) -> None:
    assert (await answered(url + "/keyed", "text")).finish == "stop"


@pytest.mark.anyio
async def test_what_is_asked_arrives(url: str) -> None:
    async with await open_session() as session, Client() as client:
        wire = BotWire(client, url, Uploads(session, url))
        call = asking(user("你好 🦉\n"), name="echo", stop=("x",), tools=(Tool("f", "d", {"properties": {"a": {}}}),))
        heard = json.loads(fold(await events_of(wire, call)).text)
    assert heard["query"][0]["content"] == "你好 🦉\n"
    assert heard["stop_sequences"] == ["x"]
    assert heard["tools"][0]["function"] == {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {"a": {}}, "required": None},
    }


def test_a_media_part_shows_no_bytes_in_its_repr() -> None:
    assert "secret" not in repr(MediaPart("file", data=b"secret"))
