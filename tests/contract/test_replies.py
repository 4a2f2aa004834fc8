"""The judge of replies finds what is wrong with them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.contract.replies import assert_conforms

USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 1,
    "total_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "x", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}
CHAT = "/v1/chat/completions"


def _error(type_: str, code: str | None) -> bytes:
    return orjson.dumps({"error": {"message": "No.", "type": type_, "param": None, "code": code}})


def _chunk(delta: dict[str, Any], finish_reason: str | None = None, **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **members}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


FIRST = _chunk({"role": "assistant", "content": "x"})
LAST = _chunk({}, "stop")
DONE = b"data: [DONE]\n\n"
FAILED = b"data: " + _error("server_error", "upstream_error") + b"\n\n"


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type", "body"),
    [
        ("POST", CHAT, 200, "application/json", orjson.dumps(ANSWER)),
        ("POST", "//openai//v1/chat/completions/?beta=true", 200, "application/json", orjson.dumps(ANSWER)),
        ("POST", CHAT, 402, "application/json", _error("insufficient_quota", "insufficient_points")),
        ("GET", "/health", 200, "text/plain; charset=utf-8", b"OK"),
        ("HEAD", "/v1/models/a%2Fb", 404, "application/json", b""),
        ("GET", "/v1/models/a%2Fb", 404, "application/json", _error("invalid_request_error", "model_not_found")),
        ("GET", "/v1/nowhere", 404, "application/json", _error("invalid_request_error", None)),
        ("DELETE", "/v1/models", 405, "application/json", _error("invalid_request_error", None)),
        ("POST", "/v1/embeddings", 501, "application/json", _error("invalid_request_error", "not_implemented")),
        ("GET", "/v1/files/f/content", 501, "application/json", _error("invalid_request_error", "not_implemented")),
        ("PUT", "/v1/embeddings", 404, "application/json", _error("invalid_request_error", None)),
        ("POST", CHAT, 200, "text/event-stream", b": wait\n\n" + FIRST + LAST + DONE),
        ("POST", CHAT, 200, "text/event-stream", FIRST + LAST + _chunk({}, choices=[], usage=USAGE) + DONE),
        ("POST", CHAT, 200, "text/event-stream", FIRST + FAILED),
        ("POST", CHAT, 200, "text/event-stream", FAILED),
    ],
)
def test_good_replies_pass(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    assert_conforms(method, path, status, content_type, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type", "body"),
    [
        pytest.param("POST", CHAT, 200, "application/json", orjson.dumps(ANSWER | {"id": 1}), id="id is no string"),
        pytest.param("POST", CHAT, 200, "text/html", b"<p>", id="undocumented media type"),
        pytest.param("POST", CHAT, 500, "application/json", _error("server_error", None), id="undocumented status"),
        pytest.param("POST", CHAT, 402, "application/json", _error("server_error", None), id="another row's words"),
        pytest.param("GET", "/health", 200, "text/plain", b"fine", id="another text"),
        pytest.param("HEAD", "/health", 200, "text/plain", b"OK", id="a body under HEAD"),
        pytest.param("GET", "/v1/nowhere", 200, "application/json", b"{}", id="a path that does not exist"),
        pytest.param("POST", "/v1/embeddings", 404, "application/json", _error("x", None), id="501 expected"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + LAST, id="no [DONE]"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + DONE, id="no finish_reason"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + LAST + LAST + DONE, id="two finish_reasons"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + FIRST + LAST + DONE, id="two roles"),
        pytest.param("POST", CHAT, 200, "text/event-stream", LAST + DONE, id="no role"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + FAILED + DONE, id="[DONE] after an error"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FAILED + FIRST, id="something after an error"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + LAST + DONE + LAST, id="something after [DONE]"),
        pytest.param("POST", CHAT, 200, "text/event-stream", FIRST + _chunk({}, "stop", id="d") + DONE, id="new id"),
        pytest.param("POST", CHAT, 200, "text/event-stream", b"event: x\n\n" + FIRST + LAST + DONE, id="no data"),
        pytest.param("POST", CHAT, 200, "text/event-stream", b"data: {}\n\n" + FIRST + LAST + DONE, id="no chunk"),
        pytest.param(
            "POST", CHAT, 200, "text/event-stream", FIRST + _chunk({}, choices=[]) + LAST + DONE, id="no choice"
        ),
    ],
)
def test_bad_replies_are_found(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    with pytest.raises(AssertionError):
        assert_conforms(method, path, status, content_type, body)


def test_calls_need_one_id_each() -> None:
    def calls(*ids: str) -> bytes:
        deltas = [
            {"tool_calls": [{"index": index, "id": id_, "type": "function", "function": {"name": "f"}}]}
            for index, id_ in enumerate(ids)
        ]
        return FIRST + b"".join(_chunk(delta) for delta in deltas) + _chunk({}, "tool_calls") + DONE

    assert_conforms("POST", CHAT, 200, "text/event-stream", calls("call_1", "call_2"))
    with pytest.raises(AssertionError, match="one id"):
        assert_conforms("POST", CHAT, 200, "text/event-stream", calls("call_1", "call_1"))


def test_a_stream_that_was_left_may_lack_its_end() -> None:
    assert_conforms("POST", CHAT, 200, "text/event-stream", FIRST + FIRST[:20], complete=False)


def test_required_headers_are_demanded() -> None:
    body = _error("rate_limit_error", "upstream_rate_limited")
    headers = {"X-Request-Id": "r", "x-should-retry": "true"}
    with pytest.raises(AssertionError, match="Retry-After is missing"):
        assert_conforms("POST", CHAT, 429, "application/json", body, headers)
    assert_conforms("POST", CHAT, 429, "application/json", body, {**headers, "retry-after": "3"})
    with pytest.raises(AssertionError, match="Retry-After"):
        assert_conforms("POST", CHAT, 429, "application/json", body, {**headers, "retry-after": "-1"})
