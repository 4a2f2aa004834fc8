"""Every row of the interface's error table that this service can meet, in its exact shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.sandbox.accounts import SandboxAccount
from service.wires import client as clients
from tests.contract.replies import assert_conforms
from tests.running import TOKEN, Running, running, sandboxed

CHAT = "/v1/chat/completions"
HELLO = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def client(gateway: Running) -> Iterator[httpx.Client]:
    with client_of(gateway) as client:
        yield client


def client_of(gateway: Running) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)


def refused(reply: httpx.Response, status: int, type_: str, code: str | None, param: str | None = None) -> str:
    """The message of an error that is exactly what the interface says."""
    assert reply.status_code == status, reply.text
    assert_conforms(
        reply.request.method,
        reply.request.url.raw_path.decode(),
        status,
        reply.headers["content-type"],
        reply.content,
        dict(reply.headers),
    )
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"], error["param"]) == (type_, code, param)
    assert reply.headers["x-should-retry"] in ("true", "false")
    if status in (429, 503):
        assert int(reply.headers["retry-after"]) >= 1
    message: str = error["message"]
    return message


def failing(words: str, **members: Any) -> dict[str, Any]:
    return {"model": "sandbox-failing", "messages": [{"role": "user", "content": f"fail: {words}"}], **members}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"", None),
        (b"[]", None),
        (b'"text"', None),
        ({**HELLO, "messages": [{"content": "x"}]}, "messages[0].role"),
        ({**HELLO, "messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({**HELLO, "messages": []}, "messages"),
        ({**HELLO, "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({**HELLO, "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": HELLO["messages"]}, "model"),
        ({**HELLO, "model": 7}, "model"),
        ({**HELLO, "temperature": 3}, "temperature"),
        ({**HELLO, "n": 2}, "n"),
        ({**HELLO, "stop": ["a"] * 5}, "stop"),
        ({**HELLO, "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ],
)
def test_a_body_that_does_not_fit_names_its_member(client: httpx.Client, body: Any, param: str | None) -> None:
    raw = {"content": body} if isinstance(body, bytes) else {"json": body}
    reply = client.post(CHAT, headers={"content-type": "application/json"}, **raw)  # type: ignore[arg-type]
    message = refused(reply, 400, "invalid_request_error", None, param)
    assert param is None or message.startswith(param)


def test_several_answers_are_refused_in_words(client: httpx.Client) -> None:
    assert "one answer" in refused(client.post(CHAT, json={**HELLO, "n": 2}), 400, "invalid_request_error", None, "n")


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_more_connections_than_may_be_open_are_our_own_trouble(
    sandbox_url: str, monkeypatch: pytest.MonkeyPatch, wire: str
) -> None:
    with running(sandbox_url, BREAKER_FAILURES="1") as gateway, client_of(gateway) as client:
        with monkeypatch.context() as full:
            full.setattr(clients, "MAX_CONNECTIONS", 0)
            reply = client.post(CHAT, json=HELLO, headers={"x-proxy-wire": wire})
        assert refused(reply, 503, "server_error", "overloaded") == clients.FULL
        assert (reply.headers["x-should-retry"], reply.headers["x-proxy-attempts"]) == ("true", "1")
        assert client.post(CHAT, json=HELLO, headers={"x-proxy-wire": wire}).status_code == 200, "no model rests for it"


@pytest.mark.parametrize("header", ["x-proxy-wire"])
def test_a_header_of_ours_with_a_wrong_word_is_named(client: httpx.Client, header: str) -> None:
    reply = client.post(CHAT, json=HELLO, headers={header: "telegraph"})
    refused(reply, 400, "invalid_request_error", None, header)


@pytest.mark.parametrize("token", [None, "wrong-token-wrong-token"])
def test_no_or_a_wrong_token(gateway: Running, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    reply = httpx.post(f"{gateway.url}{CHAT}", json=HELLO, headers=headers)
    message = refused(reply, 401, "invalid_request_error", "invalid_api_key")
    assert reply.headers["x-should-retry"] == "false"
    assert token is None or not token or token not in message


@pytest.mark.parametrize(
    "shown",
    [
        {"headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"headers": {"Authorization": f"bearer  {TOKEN}"}},
        {"headers": {"x-api-key": TOKEN}},
        {"headers": {"api-key": TOKEN}},
        {"headers": {"x-goog-api-key": TOKEN}},
        {"params": {"key": TOKEN}},
    ],
)
def test_a_token_is_taken_in_all_five_forms(gateway: Running, shown: dict[str, Any]) -> None:
    assert httpx.get(f"{gateway.url}/v1/models", **shown).status_code == 200


def test_a_model_that_does_not_exist_has_suggestions(client: httpx.Client) -> None:
    reply = client.post(CHAT, json={**HELLO, "model": "sandbox-echoo"})
    message = refused(reply, 404, "invalid_request_error", "model_not_found", "model")
    assert "sandbox-echo" in message
    reply = client.get("/v1/models/sandbox-ech")
    assert "sandbox-echo" in refused(reply, 404, "invalid_request_error", "model_not_found", "model")


def test_an_unknown_bot_is_tried_and_then_told(client: httpx.Client) -> None:
    reply = client.post(CHAT, json={**HELLO, "model": "a-bot-nobody-made"})
    refused(reply, 404, "invalid_request_error", "model_not_found", "model")
    assert reply.headers["x-proxy-attempts"] == "1"


def test_a_large_body_is_refused_before_it_is_read(sandbox_url: str) -> None:
    with running(sandbox_url, MAX_BODY="10KiB") as small, client_of(small) as client:
        reply = client.post(CHAT, content=b"x" * 10_241, headers={"content-type": "text/plain"})
        refused(reply, 413, "invalid_request_error", "request_too_large")
        chunked = client.post(CHAT, content=iter([b"x" * 5_000] * 3), headers={"content-type": "application/json"})
        refused(chunked, 413, "invalid_request_error", "request_too_large")
        assert client.post(CHAT, json=HELLO).status_code == 200
        assert small.call(lambda: small.gateway.body_bytes) == 0


def test_bodies_in_flight_have_a_limit(sandbox_url: str) -> None:
    with running(sandbox_url, MAX_BODY="10KiB", MAX_BODY_TOTAL="10KiB") as small, client_of(small) as client:
        small.gateway.body_bytes = 10_000
        reply = client.post(CHAT, json={**HELLO, "user": "x" * 1_000})
        refused(reply, 503, "server_error", "overloaded")
        assert reply.headers["x-should-retry"] == "true"


def test_another_media_type_is_refused(client: httpx.Client) -> None:
    reply = client.post(CHAT, content=b"model=x", headers={"content-type": "application/x-www-form-urlencoded"})
    refused(reply, 415, "invalid_request_error", "unsupported_media_type")


def test_no_media_type_is_taken_as_json(gateway: Running) -> None:
    request = httpx.Request(
        "POST", f"{gateway.url}{CHAT}", content=httpx.Request("POST", "http://x", json=HELLO).content
    )
    request.headers["authorization"] = f"Bearer {TOKEN}"
    assert "content-type" not in request.headers
    with httpx.Client() as client:
        assert client.send(request).status_code == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/messages", "/v1/embeddings", "/openai/v1/images/generations"])
def test_a_known_path_that_is_not_served(client: httpx.Client, path: str) -> None:
    reply = client.post(path, json={})
    assert reply.status_code == 501
    error = reply.json()["error"]
    if "messages" in path:
        assert reply.json()["type"] == "error"
        assert error["type"] == "not_found_error"
        assert reply.json()["request_id"] == reply.headers["x-request-id"]
    else:
        assert (error["type"], error["code"]) == ("invalid_request_error", "not_implemented")
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v2/chat/completions", "/v1/chat", "/nothing", "/v1/modelsx", "/v1/v1/models"])
def test_an_unknown_path(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 404
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("DELETE", CHAT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_the_right_ones(client: httpx.Client, method: str, path: str, allow: str) -> None:
    reply = client.request(method, path)
    assert reply.status_code == 405
    assert reply.headers["allow"] == allow
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_checks_come_in_the_order_of_the_interface(sandbox_url: str) -> None:
    """404 before 401, 401 before 413, 413 before 415, 415 before 400."""
    with running(sandbox_url, MAX_BODY="1KiB") as small:
        big = {"content": b"{" * 2_000, "headers": {"content-type": "text/plain"}}
        assert httpx.post(f"{small.url}/v1/nothing", **big).status_code == 404  # type: ignore[arg-type]
        assert httpx.post(f"{small.url}{CHAT}", **big).status_code == 401  # type: ignore[arg-type]
        with client_of(small) as client:
            assert client.post(CHAT, **big).status_code == 413  # type: ignore[arg-type]
            reply = client.post(CHAT, content=b"{", headers={"content-type": "text/plain"})
            assert reply.status_code == 415
            assert client.post(CHAT, content=b"{", headers={"content-type": "application/json"}).status_code == 400


def pooled(sandbox_keys: dict[str, SandboxAccount], **members: str) -> Any:
    return sandboxed(keys=sandbox_keys)


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_dry_pool_says_402_and_a_dry_key_nothing(wire: str) -> None:
    rich = SandboxAccount(points=10_000)
    keys = {"poe-key-first-0000": SandboxAccount(points=0), "poe-key-second-0000": rich}
    with sandboxed(keys=keys) as (url, _), running(url) as gateway, client_of(gateway) as client:
        replies = [client.post(CHAT, json=HELLO, headers={"x-proxy-wire": wire}) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 200]
        assert {reply.headers["x-proxy-key"] for reply in replies} == {"second"}
        assert sum(int(reply.headers["x-proxy-attempts"]) for reply in replies) == 4, "the dry key is asked once"
        rich.points = 0
        reply = client.post(CHAT, json=HELLO, headers={"x-proxy-wire": wire})
        refused(reply, 402, "insufficient_quota", "insufficient_points")


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_revoked_key_is_never_the_callers_401(wire: str) -> None:
    with (
        sandboxed(keys={"poe-key-second-0000": SandboxAccount(points=10_000)}, bot_failures="status") as (url, _),
        running(url) as gateway,
        client_of(gateway) as client,
    ):
        replies = [client.post(CHAT, json=HELLO, headers={"x-proxy-wire": wire}) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 200]
        assert {reply.headers["x-proxy-key"] for reply in replies} == {"second"}


def test_a_pool_of_revoked_keys_says_503() -> None:
    with sandboxed(keys={}) as (url, _), running(url) as gateway, client_of(gateway) as client:
        reply = client.post(CHAT, json=HELLO)
        refused(reply, 503, "server_error", "no_usable_key")
        assert reply.headers["x-should-retry"] == "false"


def test_a_limited_pool_says_429_with_the_time_that_poe_named(sandbox_url: str) -> None:
    with running(sandbox_url) as gateway, client_of(gateway) as client:
        reply = client.post(CHAT, json=failing("status 429 retry-after 50"))
        refused(reply, 429, "rate_limit_error", "upstream_rate_limited")
        assert 30 <= int(reply.headers["retry-after"]) <= 50
        assert reply.headers["x-should-retry"] == "true"
        assert reply.headers["x-proxy-attempts"] == "2", "both keys were asked"
        assert client.post(CHAT, json=HELLO).status_code == 200, "a limit on one model rests no key for another"


@pytest.mark.parametrize("wire", ["chat", "bot"])
@pytest.mark.parametrize("words", ["status 500", "status 503", "html 502", "empty", "cut", "reset", "malformed"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_fails_every_time(sandbox_url: str, wire: str, words: str, stream: bool) -> None:
    if wire == "chat" and not stream and words == "malformed":
        pytest.skip("a whole answer has no event to spoil")
    with running(sandbox_url) as gateway, client_of(gateway) as client:
        reply = client.post(CHAT, json=failing(words, stream=stream), headers={"x-proxy-wire": wire})
        refused(reply, 502, "server_error", "upstream_error")
        assert "<" not in reply.json()["error"]["message"], "no markup of an error page"


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ("status 413", 400, "context_length_exceeded"),
        ("error user_message_too_long", 400, "context_length_exceeded"),
        ("error privacy_authorization_error", 400, "privacy_authorization_required"),
    ],
)
def test_what_is_the_requests_own_fault_touches_no_key(
    sandbox_url: str, words: str, status: int, code: str | None
) -> None:
    with running(sandbox_url) as gateway, client_of(gateway) as client:
        wire = "bot" if "error" in words else "chat"
        reply = client.post(CHAT, json=failing(words), headers={"x-proxy-wire": wire})
        assert reply.status_code == status, reply.text
        assert reply.json()["error"]["code"] == code
        assert reply.headers["x-proxy-attempts"] == "1"
        assert set(gateway.gateway.pool.states().values()) == {"usable"}


@pytest.mark.parametrize("wire", ["chat", "bot"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_is_silent(sandbox_url: str, wire: str, stream: bool) -> None:
    short = {"FIRST_EVENT_TIMEOUT": "0.2", "ANSWER_TIMEOUT": "0.3"}
    with running(sandbox_url, POE_API_KEYS="only:poe-key-only-0000", **short) as gateway, client_of(gateway) as client:
        reply = client.post(CHAT, json=failing("stall 5", stream=stream), headers={"x-proxy-wire": wire})
        refused(reply, 504, "server_error", "upstream_timeout")


def test_the_total_time_has_an_end(sandbox_url: str) -> None:
    with running(sandbox_url, TOTAL_TIMEOUT="0.3") as gateway, client_of(gateway) as client:
        reply = client.post(CHAT, json=failing("stall 5"))
        refused(reply, 504, "server_error", "upstream_timeout")


def test_a_full_process_says_so_at_once(sandbox_url: str) -> None:
    with running(sandbox_url, MAX_STREAMS="1") as gateway, client_of(gateway) as client:
        gateway.gateway.open_requests = 1
        reply = client.post(CHAT, json=HELLO)
        refused(reply, 503, "server_error", "overloaded")
        assert reply.headers["retry-after"] == "1"
        assert httpx.get(f"{gateway.url}/health").status_code == 200
        gateway.gateway.open_requests = 0
        assert client.post(CHAT, json=HELLO).status_code == 200


def test_a_fault_of_ours_is_a_500_that_tells_nothing(sandbox_url: str) -> None:
    with running(sandbox_url) as gateway, client_of(gateway) as client:

        async def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("poe-key-first-0000 in an exception")

        gateway.gateway.pool.lease = broken  # type: ignore[method-assign]
        reply = client.post(CHAT, json=HELLO)
        assert reply.status_code == 500
        assert reply.json()["error"]["code"] == "internal_error"
        assert "poe-key" not in reply.text
        assert b"poe-key" not in gateway.log.getvalue()
        assert gateway.lines("internal error")[0]["error"] == "RuntimeError"


def test_errors_of_models_are_anthropics_where_its_version_is_sent(client: httpx.Client) -> None:
    reply = client.get("/v1/models/nothing-like-it", headers={"anthropic-version": "2023-06-01"})
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
