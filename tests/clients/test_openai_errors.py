"""openai's Python clients raise the right exception for each refusal, and try again exactly when they should."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import openai
import pytest

from service.sandbox.state import Sandbox
from tests.clients.speaker import Speaker, settled, speaking
from tests.running import Running, running, sandboxed

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "Hello"}]


def failing(words: str) -> dict[str, Any]:
    """A request that fails as told."""
    return {"model": "sandbox-failing", "messages": [{"role": "user", "content": f"fail: {words}"}]}


@contextmanager
def own_gateway(**settings: str) -> Iterator[tuple[Running, Sandbox]]:
    """A gateway whose keys may rest afterwards."""
    with sandboxed() as (url, sandbox), running(url, **settings) as gateway:
        yield gateway, sandbox


@pytest.fixture
def alone() -> Iterator[tuple[Running, Sandbox]]:
    with own_gateway() as made:
        yield made


@pytest.fixture
async def trying(alone: tuple[Running, Sandbox], kind: str) -> AsyncIterator[Speaker]:
    """A client that tries three times in all."""
    async with speaking(alone[0].url, kind, max_retries=2) as made:
        yield made


def waits(client: Speaker, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the SDK would wait before each new attempt; it then waits none of them."""
    found: list[float] = []
    reckon: Callable[..., float] = client.client._calculate_retry_timeout

    def reckoned(*arguments: Any, **members: Any) -> float:
        found.append(reckon(*arguments, **members))
        return 0.0

    monkeypatch.setattr(client.client, "_calculate_retry_timeout", reckoned)
    return found


async def collect(stream: Any, said: list[str]) -> None:
    """Put the text of a stream into `said` as it comes."""
    if hasattr(stream, "__aiter__"):
        async for chunk in stream:
            said += [chunk.choices[0].delta.content or ""]
        return
    for chunk in stream:
        said += [chunk.choices[0].delta.content or ""]


def statuses(gateway: Running) -> list[int]:
    """What each chat completion was answered with, as the log has it."""
    return [line["status"] for line in gateway.lines() if line["path"] == "/chat/completions"]


async def ended(sandbox: Sandbox) -> str | None:
    """How the sandbox's last call ended, once it did."""
    for _ in range(250):
        if sandbox.calls[-1].ended is not None:
            break
        await anyio.sleep(0.02)
    return sandbox.calls[-1].ended


async def test_a_wrong_token_is_an_authentication_error(served: Running, kind: str) -> None:
    async with speaking(served.url, kind, api_key="nobody-knows-this-token") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.create(model="sandbox-echo", messages=HI)
    assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_unknown_model_is_not_found(anywhere: Speaker, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await anywhere.create(model="sandbox-ecko", messages=HI, stream=stream)
    assert caught.value.code == "model_not_found"
    assert "sandbox-echo" in str(caught.value)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": HI, "temperature": "hot"}, "temperature"),
        ({"messages": HI, "n": 2}, "n"),
    ],
)
async def test_a_wrong_member_is_a_bad_request_that_names_it(
    anywhere: Speaker, members: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await anywhere.create(model="sandbox-echo", **members)
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", param)
    assert "response" not in str(caught.value).lower()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_rate_limit_is_tried_again_when_the_gateway_says(
    trying: Speaker, alone: tuple[Running, Sandbox], monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    waited = waits(trying, monkeypatch)
    with pytest.raises(openai.RateLimitError) as caught:
        await trying.create(**failing("status 429 retry-after 30"), stream=stream)
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", "upstream_rate_limited")
    assert caught.value.response.headers["x-should-retry"] == "true"
    assert len(waited) == 2
    assert all(25 <= seconds <= 31 for seconds in waited), "Retry-After is the soonest key's, not a guess"
    assert statuses(alone[0]) == [429, 429, 429]


async def test_a_full_gateway_is_tried_again_and_then_answers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a_minute = [{"role": "user", "content": "speed: 1 " + "word " * 60}]
    with own_gateway(MAX_STREAMS="1") as (gateway, _):
        async with speaking(gateway.url, "sync") as holder, speaking(gateway.url, kind, max_retries=2) as client:
            held = holder.client.chat.completions.create(model="sandbox-slow", messages=a_minute, stream=True)
            reckon: Callable[..., float] = client.client._calculate_retry_timeout

            def make_room(*arguments: Any, **members: Any) -> float:
                held.close()
                return reckon(*arguments, **members)

            monkeypatch.setattr(client.client, "_calculate_retry_timeout", make_room)
            answer = await client.create(model="sandbox-echo", messages=HI)
        assert answer.choices[0].message.content == "Hello"
        assert sorted(statuses(gateway)) == [200, 499, 503]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ("status 500", 502, "upstream_error"),
        ("cut after 3", 502, "upstream_error"),
        ("status 402", 402, "insufficient_points"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again(
    trying: Speaker, alone: tuple[Running, Sandbox], words: str, status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await trying.create(**failing(words))
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert statuses(alone[0]) == [status]


async def test_paths_that_are_not_served_say_so_once(trying: Speaker, alone: tuple[Running, Sandbox]) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await settled(trying.client.embeddings.create(model="sandbox-echo", input="Hello"))
    assert (caught.value.status_code, caught.value.code) == (501, "not_implemented")
    assert [line["status"] for line in alone[0].lines() if line["path"] == "/embeddings"] == [501]


async def test_a_fallback_answers_in_place_of_a_failure(trying: Speaker) -> None:
    answer = await trying.create(**failing("status 500"), extra_body={"models": ["sandbox-echo"]})
    assert answer.model == "sandbox-echo"
    assert answer.choices[0].message.content == "fail: status 500"


async def test_a_stream_that_breaks_in_the_middle_is_an_error_after_what_came(kind: str) -> None:
    said: list[str] = []
    with own_gateway(IDLE_TIMEOUT="1") as (gateway, _):
        async with speaking(gateway.url, kind) as client:
            stream = await settled(client.client.chat.completions.create(**failing("stall 5 after 3"), stream=True))
            with pytest.raises(openai.APIError) as caught:
                await collect(stream, said)
            await settled(stream.close())
    assert "".join(said) == "A gateway stands "
    assert (caught.value.type, caught.value.code) == ("server_error", "upstream_timeout")


async def test_a_client_that_gives_up_stops_the_upstream(alone: tuple[Running, Sandbox], kind: str) -> None:
    for patience in (0.4, 1, 4):  # as much as the question takes to reach the sandbox, which is up to the machine
        async with speaking(alone[0].url, kind, timeout=patience) as client:
            with pytest.raises(openai.APITimeoutError):
                await client.create(model="sandbox-slow", messages=[{"role": "user", "content": "delay: 30 x"}])
        if alone[1].calls:
            break
    assert await ended(alone[1]) == "left"


async def test_a_stream_that_is_closed_stops_the_upstream(alone: tuple[Running, Sandbox], kind: str) -> None:
    slow = [{"role": "user", "content": "speed: 20 " + "word " * 500}]
    async with speaking(alone[0].url, kind) as client:
        stream = await settled(client.client.chat.completions.create(model="sandbox-slow", messages=slow, stream=True))
        assert await (anext(aiter(stream)) if kind == "async" else settled(next(iter(stream))))
        await settled(stream.close())
        assert await ended(alone[1]) == "left"
    outcomes = [line["outcome"] for line in alone[0].lines() if line["path"] == "/chat/completions"]
    assert outcomes == ["cancelled"]
