"""Chat completions through the whole service, over real sockets, with the sandbox for Poe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.contract.replies import assert_conforms, assert_stream_conforms
from tests.running import TOKEN, Running

ECHO = "sandbox-echo"


@pytest.fixture
def client(gateway: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
        yield client


def ask(client: httpx.Client, body: Any, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    """POST a body and hold the reply against the contract."""
    reply = client.post(path, json=body, headers=headers)
    assert_conforms("POST", path, reply.status_code, reply.headers["content-type"], reply.content, dict(reply.headers))
    return reply


def user(text: Any, model: str = ECHO, **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **members}


def chunks(reply: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a stream without its `[DONE]`."""
    datas = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
    assert datas[-1] == "[DONE]"
    return [orjson.loads(data) for data in datas[:-1]]


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_whole_answer_says_what_was_asked(client: httpx.Client, wire: str) -> None:
    reply = ask(client, user("one two 三"), **{"x-proxy-wire": wire})
    assert reply.status_code == 200
    body = reply.json()
    assert body["choices"][0]["message"]["content"] == "one two 三"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["model"] == ECHO
    assert reply.headers["x-proxy-wire"] == wire
    assert reply.headers["x-proxy-attempts"] == "1"
    assert reply.headers["x-proxy-key"] in ("first", "second")
    assert float(reply.headers["x-proxy-overhead-ms"]) < 1000


@pytest.mark.parametrize("name", ["x-proxy-wire", "x-proxy-recovery"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_header_of_ours_with_another_word_is_refused_by_its_name(
    client: httpx.Client, name: str, stream: bool
) -> None:
    reply = ask(client, user("one", stream=stream), **{name: "perhaps"})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == name


@pytest.mark.parametrize("word", ["auto", "off", "verified", "whole"])
def test_every_word_of_recovery_is_taken(client: httpx.Client, word: str) -> None:
    assert ask(client, user("one", stream=True), **{"x-proxy-recovery": word}).status_code == 200


@pytest.mark.parametrize("wire", ["chat", "bot"])
def test_a_stream_says_the_same_in_pieces(client: httpx.Client, wire: str) -> None:
    text = "one two three 四 five 🙂 six"
    reply = ask(client, user(text, stream=True, stream_options={"include_usage": True}), **{"x-proxy-wire": wire})
    found = chunks(reply)
    deltas = [choice["delta"] for chunk in found for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == text
    assert len(deltas) > 5, "a stream in one piece is no stream"
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] > 0
    assert len({chunk["id"] for chunk in found}) == 1


def test_usage_comes_only_where_it_was_asked_for(client: httpx.Client) -> None:
    found = chunks(ask(client, user("a b", stream=True)))
    assert all("usage" not in chunk for chunk in found)


def test_usage_of_the_bot_wire_is_marked_as_estimated(client: httpx.Client) -> None:
    whole = ask(client, user("one two three"), **{"x-proxy-wire": "bot"}).json()
    assert whole["usage"]["estimated"] is True
    assert whole["usage"]["completion_tokens"] > 0
    assert "estimated" not in ask(client, user("one two three"), **{"x-proxy-wire": "chat"}).json()["usage"]


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1", "/anthropic/v1", "//v1/"])
def test_every_prefix_and_doubled_slashes_lead_to_it(client: httpx.Client, prefix: str) -> None:
    reply = client.post(f"{prefix}/chat/completions/", json=user("x"), headers={"x-request-id": "abc-1"})
    assert reply.status_code == 200
    assert reply.headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("given", ["", "x" * 129, "has blank", "ünï"])
def test_a_request_id_that_is_no_good_is_replaced(client: httpx.Client, given: str) -> None:
    reply = client.post("/v1/chat/completions", json=user("x"), headers={"x-request-id": given.encode()})
    assert reply.headers["x-request-id"].startswith("req_")


def test_the_log_has_one_line_and_no_secret(client: httpx.Client, gateway: Running) -> None:
    secret_word = "xylophone-of-the-body"
    ask(client, user(secret_word), **{"x-request-id": "logged-1"})
    lines = [line for line in gateway.lines() if line["id"] == "logged-1"]
    assert len(lines) == 1
    line = lines[0]
    assert (line["tenant"], line["status"], line["outcome"], line["attempts"]) == ("tests", 200, "ok", 1)
    assert line["model"] == ECHO
    assert line["finish_reason"] == "stop"
    assert line["completion_tokens"] > 0
    written = gateway.log.getvalue()
    for secret in (secret_word, TOKEN, "poe-key-first-0000", "poe-key-second-0000"):
        assert secret.encode() not in written


def test_metrics_count_it(client: httpx.Client, gateway: Running) -> None:
    ask(client, user("x"), **{"x-proxy-wire": "chat"})
    text = gateway.exposition()
    assert 'poe_proxy_requests_total{dialect="chat",model="sandbox-echo",outcome="ok",wire="chat"}' in text
    assert 'poe_proxy_upstream_attempts_total{key="first",result="ok",wire="chat"}' in text
    assert 'poe_proxy_key_state{key="first",state="usable"} 1.0' in text
    for name in ("request_seconds", "first_event_seconds", "overhead_seconds", "open_streams", "key_points"):
        assert f"poe_proxy_{name}" in text


def test_keys_take_turns(client: httpx.Client) -> None:
    names = [ask(client, user("x")).headers["x-proxy-key"] for _ in range(4)]
    assert sorted(names) == ["first", "first", "second", "second"]


def test_dropped_parameters_are_told_and_counted(client: httpx.Client, gateway: Running) -> None:
    reply = ask(client, user("x", presence_penalty=1, somethingnew={"a": 1}, store=False))
    assert reply.headers["x-proxy-notice"] == "dropped: presence_penalty, somethingnew"
    text = gateway.exposition()
    assert 'dropped_parameters_total{model="sandbox-echo",parameter="presence_penalty"}' in text
    assert 'dropped_parameters_total{model="sandbox-echo",parameter="other"}' in text
    assert "somethingnew" not in text


def test_a_stream_that_errors_has_no_done(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions", json=user("fail: cut after 3", "sandbox-failing", stream=True))
    assert reply.status_code == 200
    assert_stream_conforms(reply.content)
    assert "[DONE]" not in reply.text
    assert orjson.loads(reply.text.rstrip().splitlines()[-1][6:])["error"]["code"] == "upstream_error"
