"""openai's Python clients list the models, and read what the gateway says of itself in the headers."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest

from tests.clients.speaker import Speaker, listed, settled
from tests.running import Running

pytestmark = pytest.mark.anyio

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
NOVEMBER_2023 = 1_700_000_000


async def test_the_models_are_listed(anywhere: Speaker) -> None:
    page = await settled(anywhere.client.models.list())
    assert page.object == "list"
    models = {model.id: model for model in await listed(page)}
    assert {"sandbox-echo", "sandbox-gpt-5.2", "sandbox-image"} <= models.keys()
    echo = models["sandbox-echo"]
    assert (echo.object, echo.owned_by) == ("model", "Sandbox")
    assert NOVEMBER_2023 < echo.created < 2 * NOVEMBER_2023, "in seconds"


@pytest.mark.parametrize("name", ["sandbox-gpt-5.2", "Sandbox-GPT-5.2"])
async def test_a_model_is_found_whatever_its_case(anywhere: Speaker, name: str) -> None:
    model = await settled(anywhere.client.models.retrieve(name))
    assert (model.id, model.owned_by) == ("sandbox-gpt-5.2", "OpenAI")


@pytest.mark.parametrize("name", ["nobody", "team/model v1.2"])
async def test_a_model_that_is_not_there_is_not_found(anywhere: Speaker, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await settled(anywhere.client.models.retrieve(name))
    assert caught.value.code == "model_not_found"


async def test_the_headers_tell_the_way_an_answer_took(client: Speaker, wire: str, served: Running) -> None:
    response = await client.raw(model="Sandbox-Echo", messages=HI)
    headers = response.headers
    assert (headers["x-proxy-wire"], headers["x-proxy-attempts"]) == (wire, "1")
    assert headers["x-proxy-key"] in {"first", "second"}
    assert headers["x-proxy-model"].lower() == "sandbox-echo"
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", headers["x-proxy-overhead-ms"])
    answer = response.parse()
    assert answer._request_id == headers["x-request-id"] == response.request_id
    assert answer.model == "Sandbox-Echo", "the caller's own spelling"
    assert served.lines()[-1]["id"] == response.request_id


async def test_a_callers_request_id_comes_back(client: Speaker) -> None:
    answer = await client.create(model="sandbox-echo", messages=HI, extra_headers={"x-request-id": "mine-1"})
    assert answer._request_id == "mine-1"


async def test_a_stream_has_the_headers_too(client: Speaker, wire: str) -> None:
    response = await client.raw(model="sandbox-echo", messages=HI, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-proxy-wire"] == wire
    chunks = await listed(response.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
