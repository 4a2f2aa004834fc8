"""Which conversation a request belongs to: what the caller says, in order, else its first words."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from service.api.session import session_of
from service.api.validation import parse
from service.contract.models import ChatCompletionRequest
from service.dialects.chat.decode import decode
from tests.running import TOKEN, running, sandboxed

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


def session(headers: dict[bytes, bytes] | None = None, *, tenant: str = "team", **members: Any) -> str:
    """The session of a request with some members."""
    body = orjson.dumps({"model": "m", "messages": ASK, **members})
    request = parse(ChatCompletionRequest, body)
    return session_of(headers or {}, request, decode(request)[0], tenant)


WAYS: list[tuple[dict[bytes, bytes], dict[str, Any]]] = [
    ({b"x-session-id": b"VALUE"}, {}),
    ({b"x-claude-code-session-id": b"VALUE"}, {}),
    ({b"session-id": b"VALUE"}, {}),
    ({b"thread-id": b"VALUE"}, {}),
    ({b"x-session-affinity": b"VALUE"}, {}),
    ({}, {"metadata": {"user_id": "user_1_account_2_session_VALUE"}}),
    ({}, {"prompt_cache_key": "VALUE"}),
    ({}, {"conversation_id": "VALUE"}),
    ({}, {"conversation": {"id": "VALUE"}}),
    ({}, {"messages": [ASK[0], {"role": "user", "content": "VALUE"}]}),
]
"""In the order in which they win."""


def say(way: tuple[dict[bytes, bytes], dict[str, Any]], value: str) -> tuple[dict[bytes, bytes], dict[str, Any]]:
    """One way of naming a conversation, with a value."""
    headers, members = way
    text = orjson.dumps(members).decode().replace("VALUE", value)
    return {name: said.replace(b"VALUE", value.encode()) for name, said in headers.items()}, orjson.loads(text)


def both(*ways: tuple[dict[bytes, bytes], dict[str, Any]]) -> str:
    """The session of a request that names its conversation in several ways."""
    headers: dict[bytes, bytes] = {}
    members: dict[str, Any] = {}
    for more, others in ways:
        headers |= more
        members |= others
    return session(headers, **members)


@pytest.mark.parametrize("place", range(len(WAYS)))
def test_every_way_of_naming_a_conversation_tells_it_from_others(place: int) -> None:
    way = WAYS[place]
    assert both(say(way, "one")) == both(say(way, "one")) != both(say(way, "two"))


@pytest.mark.parametrize("place", range(len(WAYS) - 1))
def test_the_earlier_way_wins(place: int) -> None:
    first, second = WAYS[place], WAYS[place + 1]
    alone = both(say(first, "one"))
    assert both(say(first, "one"), say(second, "two")) == alone
    assert both(say(first, "one"), say(second, "three")) == alone


def test_a_conversation_goes_on_when_it_grows() -> None:
    answer = {"role": "assistant", "content": "Hi"}
    assert session(messages=ASK) == session(messages=[*ASK, answer, {"role": "user", "content": "More"}])


def test_agents_with_one_system_prompt_are_told_apart_by_their_task() -> None:
    other = [ASK[0], {"role": "user", "content": "Another task"}]
    assert session(messages=ASK) != session(messages=other)
    assert session(messages=ASK) != session(messages=[{"role": "system", "content": "Be long."}, ASK[1]])


def test_tenants_share_no_conversation() -> None:
    assert session(tenant="a") != session(tenant="b")
    assert session({b"x-session-id": b"1"}, tenant="a") != session({b"x-session-id": b"1"}, tenant="b")


@pytest.mark.parametrize("user", ["user_1", 7, None, ["session_1"], {"id": "session_1"}])
def test_a_user_without_a_session_names_no_conversation(user: Any) -> None:
    assert session(metadata={"user_id": user}) == session()


def test_words_do_not_run_into_each_other() -> None:
    joined = [{"role": "system", "content": "Be brief.He"}, {"role": "user", "content": "llo"}]
    assert session(messages=ASK) != session(messages=joined)


def test_a_session_is_short_and_does_not_show_what_it_was_made_of() -> None:
    made = session({b"x-session-id": b"secret" * 1000})
    assert len(made) == 32
    assert "secret" not in made


@pytest.mark.anyio
async def test_a_conversation_stays_on_its_key_where_that_is_set() -> None:

    with sandboxed() as (url, _), running(url, KEY_STRATEGY="sticky") as gateway:
        async with httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            keys: dict[str, set[str]] = {}
            for number in range(12):
                name = f"conversation-{number % 3}"
                body = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "hi"}]}
                said = await client.post("/v1/chat/completions", json=body, headers={"x-session-id": name})
                assert said.status_code == 200, said.text
                keys.setdefault(name, set()).add(said.headers["x-proxy-key"])
    assert [len(used) for used in keys.values()] == [1, 1, 1]
    assert len(set.union(*keys.values())) == 2
