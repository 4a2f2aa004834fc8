"""Refusals: what each status, body and sentence of Poe means, and what of it may be shown."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Failure, Kind
from service.wires.refusals import failure_from_error, failure_from_status
from service.wires.retry_after import retry_after_seconds
from service.wires.scrub import LONGEST_MESSAGE, scrub

NOW = 1_764_000_000.0
KEY = "kT3x-Secret_of9Mine4711abcdefghijKLMNOPqrst"


def refused(status: int, body: object = b"", **headers: str) -> Failure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure_from_status(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw, secret=KEY, now=NOW)


def error(message: str = "", **members: object) -> dict[str, object]:
    return {"error": {"message": message, **members}}


TOOLS = "Model kimi-k2.5-fw does not support tool calling. Use a tool-capable model or remove tools from the request."
PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title><style>x{}</style></head><body><h1>Hi</h1></body>"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("Missing field", type="invalid_request_error"), Kind.BAD_REQUEST),
        (
            400,
            error(TOOLS, type="invalid_request_error", param="model", code="unsupported_feature_for_model"),
            Kind.BAD_REQUEST,
        ),
        (400, error("Model does not support responses method.", error_id="ab12"), Kind.NOT_ON_WIRE),
        (400, error("x", type="invalid_request_error", code="context_length_exceeded"), Kind.TOO_LONG),
        (400, error("This model's maximum context length is 8192 tokens."), Kind.TOO_LONG),
        (400, error("Your prompt is too long: 9 tokens"), Kind.TOO_LONG),
        (400, error("Refused by content policy", code="content_policy_violation"), Kind.MODERATED),
        (400, error("Please try again with a valid temperature"), Kind.BAD_REQUEST),
        (400, error("Model `x` does not exist"), Kind.NO_SUCH_MODEL),
        (
            400,
            error("Invalid 'role': Input should be 'system', 'user' or 'bot'", param="messages.0.role"),
            Kind.BAD_REQUEST,
        ),
        (400, b"", Kind.BAD_REQUEST),
        (401, error("Incorrect API key", code="invalid_api_key"), Kind.KEY_REVOKED),
        (401, {"detail": "Not authenticated"}, Kind.KEY_REVOKED),
        (402, error("", type="insufficient_credits", code=402), Kind.DRY),
        (402, PAGE, Kind.DRY),
        (403, error("Blocked", type="moderation_error"), Kind.MODERATED),
        (403, error("Your subscription does not cover this", type="permission_error"), Kind.NOT_COVERED),
        (403, error("You do not have access to this model"), Kind.NOT_COVERED),
        (403, error("Your account has been suspended", type="permission_error"), Kind.KEY_REVOKED),
        (403, error("Access denied"), Kind.KEY_REVOKED),
        (403, b"", Kind.KEY_REVOKED),
        (403, PAGE, Kind.BROKEN),
        (404, error("No such bot", type="not_found_error"), Kind.NO_SUCH_MODEL),
        (404, error("This model does not support the messages endpoint"), Kind.NOT_ON_WIRE),
        (404, b"", Kind.NO_SUCH_MODEL),
        (404, PAGE, Kind.BROKEN),
        (405, b"", Kind.NOT_ON_WIRE),
        (405, PAGE, Kind.BROKEN),
        (408, error("", type="timeout_error"), Kind.SILENT),
        (413, b"", Kind.TOO_LONG),
        (422, {"detail": [{"loc": ["body", "query"], "msg": "Field required"}]}, Kind.BAD_REQUEST),
        (429, error("Rate limit exceeded", type="rate_limit_error"), Kind.RATE_LIMITED),
        (429, error("You exceeded your current quota", code="insufficient_quota"), Kind.DRY),
        (429, PAGE, Kind.RATE_LIMITED),
        (500, error("Internal server error", type="provider_error"), Kind.BROKEN),
        (500, error("too big", code="context_length_exceeded"), Kind.TOO_LONG),
        (501, b"", Kind.NOT_ON_WIRE),
        (501, PAGE, Kind.BROKEN),
        (502, PAGE, Kind.BROKEN),
        (503, b"upstream connect error", Kind.BROKEN),
        (504, b"", Kind.SILENT),
        (524, PAGE, Kind.SILENT),
        (529, error("", type="overloaded_error"), Kind.BROKEN),
        (302, b"", Kind.BROKEN),
        (200, error("", type="insufficient_credits"), Kind.DRY),
        (200, b"hello", Kind.BROKEN),
        (418, b"\xff\xfe", Kind.BAD_REQUEST),
        (400, b"[" * 100_000, Kind.BAD_REQUEST),
        (400, b'event: error\r\ndata: {"text": "Insufficient credits"}\r\n\r\n', Kind.DRY),
    ],
)
def test_each_refusal_has_its_kind(status: int, body: object, kind: Kind) -> None:
    failure = refused(status, body)
    assert failure.kind is kind
    assert failure.status == status
    assert 0 < len(failure.message) <= LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (error("Unknown parameter: 'stream_options'.", type="invalid_request_error"), "stream_options"),
        (
            error("Unknown parameter: 'stream_options'.", param="stream_options", code="unknown_parameter"),
            "stream_options",
        ),
        (
            error("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."),
            "max_tokens",
        ),
        (error("Unsupported value: 'temperature' does not support 0.2 with this model."), "temperature"),
        (error("Unrecognized request argument supplied: logit_bias"), "logit_bias"),
        (error("Additional properties are not allowed ('foo' was unexpected)"), "foo"),
        (error("seed: Extra inputs are not permitted"), "seed"),
        (error("The parameter `top_p` is not supported"), "top_p"),
        (error("Unsupported value: 'high' is not supported with the 'gpt-5.2-chat-latest' model"), None),
        (error("Unsupported value: 'high'", param="reasoning_effort", code="unsupported_value"), "reasoning_effort"),
        (error("'model' is not supported", param="model"), None),
        (error("temperature must be at most 2", param="temperature"), None),
    ],
)
def test_a_parameter_that_the_model_does_not_take_is_named(body: object, param: str | None) -> None:
    failure = refused(400, body)
    assert (failure.kind is Kind.UNSUPPORTED_PARAMETER) == (param is not None)
    if param is not None:
        assert failure.param == param


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"allow_retry": True, "text": "Internal server error"}, Kind.BROKEN),
        ({"text": "Internal server error\n\nerror_id: 5f1c9b7e-93d2-4f6e-8a2e-1a2b3c4d5e6f"}, Kind.BROKEN),
        ({"text": "Access denied"}, Kind.KEY_REVOKED),
        ({"text": "You have exceeded the rate limit for querying with a User API Key."}, Kind.RATE_LIMITED),
        (
            {"text": "Cannot call a bot that is not defined in the settings' dependencies: bot X is not defined"},
            Kind.NO_SUCH_MODEL,
        ),
        ({"text": "Bot does not exist"}, Kind.NO_SUCH_MODEL),
        ({"text": "Invalid token"}, Kind.KEY_REVOKED),
        ({"text": "Unauthorized"}, Kind.KEY_REVOKED),
        ({"text": "", "error_type": "insufficient_fund"}, Kind.DRY),
        ({"text": "You do not have enough points: not enough points"}, Kind.DRY),
        ({"text": "x", "error_type": "user_message_too_long"}, Kind.TOO_LONG),
        ({"text": "Draw something else", "error_type": "user_caused_error"}, Kind.BAD_REQUEST),
        ({"text": "Blocked by our moderation", "error_type": "user_caused_error"}, Kind.MODERATED),
        ({"text": "x", "error_type": "privacy_authorization_error"}, Kind.NEEDS_AUTHORIZATION),
        ({"text": "The robot is sad", "allow_retry": False}, Kind.BROKEN),
        ({}, Kind.BROKEN),
        (None, Kind.BROKEN),
        ("Rate limit reached", Kind.RATE_LIMITED),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, Kind.RATE_LIMITED),
        ({"type": "error", "error": {"type": "api_error", "message": "x"}}, Kind.BROKEN),
        ({"error": {"code": 402, "message": "x"}}, Kind.DRY),
        ({"error": "model overloaded"}, Kind.BROKEN),
    ],
)
def test_each_error_inside_an_answer_has_its_kind(payload: object, kind: Kind) -> None:
    failure = failure_from_error(payload, secret=KEY)
    assert failure.kind is kind
    assert failure.status is None
    assert failure.message


def test_poes_own_words_are_kept_where_they_are_strings() -> None:
    failure = refused(400, error("no", type="t", param="p", code="c"))
    assert (failure.message, failure.error_type, failure.param, failure.code) == ("no", "t", "p", "c")
    failure = refused(400, error("no", type=7, param=["p"], code=400))
    assert (failure.error_type, failure.param, failure.code) == (None, None, None)


@pytest.mark.parametrize(
    "secret", [KEY, f"Bearer {KEY[:10]}x", "sk-abcd1234efgh5678", "poe-0123456789abcdef", KEY[::-1]]
)
def test_no_secret_comes_back_in_any_member(secret: str) -> None:
    failure = refused(401, error(f"bad key {secret}, sorry", type=secret, code=secret, param=secret))
    shown = f"{failure.message}{failure.error_type}{failure.code}{failure.param}"
    assert secret not in shown
    assert secret.removeprefix("Bearer ") not in shown
    assert failure.message.endswith(", sorry")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (PAGE.decode(), "Just a moment..."),
        ("<html><body><script>var a = 1;</script><h1>502</h1> Bad &amp; ugly</body>", "502 Bad & ugly"),
        ("a <b>bold</b>\n\n\tword\x00\u202e", "a bold word"),
        ("if 3 < 4 and 5 > 4 it fits", "if 3 < 4 and 5 > 4 it fits"),
        ("x" * 600, "x" * 499 + "…"),
        ("half \ud83d pair", "half ? pair"),
        ("error_id 5f1c9b7e-93d2-4f6e-8a2e-1a2b3c4d5e6f", "error_id 5f1c9b7e-93d2-4f6e-8a2e-1a2b3c4d5e6f"),
    ],
)
def test_a_message_is_made_fit_to_be_shown(said: str, shown: str) -> None:
    assert scrub(said) == shown


@given(st.text(max_size=700))
def test_whatever_is_said_comes_out_short_printable_and_on_one_line(text: str) -> None:
    shown = scrub(text)
    assert len(shown) <= LONGEST_MESSAGE
    assert not any(ord(character) < 32 for character in shown)
    shown.encode()


@given(st.binary(max_size=300), st.integers(200, 599))
def test_no_body_is_too_strange(body: bytes, status: int) -> None:
    assert refused(status, body).message


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.booleans(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["error", "message", "text", "type", "code", "param", "detail"]), x)
        ),
    )
)
def test_no_json_is_too_strange(payload: object) -> None:
    assert failure_from_error(payload).message


@pytest.mark.parametrize(
    ("headers", "limited", "seconds"),
    [
        ({"retry-after": "7"}, False, 7.0),
        ({"retry-after": "0.5"}, True, 0.5),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, True, 90.0),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, True, 0.0),
        ({"retry-after-ms": "250"}, True, 0.25),
        ({"x-ratelimit-reset-requests": "12"}, True, 12.0),
        ({"x-ratelimit-reset-requests": "1m2.5s"}, True, 62.5),
        ({"x-ratelimit-reset-requests": "20ms"}, True, 0.02),
        ({"x-ratelimit-reset-requests": str(NOW + 5)}, True, 5.0),
        ({"anthropic-ratelimit-requests-reset": "2025-11-24T16:00:30Z"}, True, 30.0),
        ({"x-ratelimit-reset-requests": "12"}, False, None),
        ({"retry-after": "soon"}, True, None),
        ({"retry-after": "-3"}, True, None),
        ({"retry-after": "nan"}, True, None),
        ({"retry-after": "inf", "x-ratelimit-reset-requests": "4"}, True, 4.0),
        ({"retry-after": "9" * 500}, True, None),
        ({}, True, None),
    ],
)
def test_when_to_come_back_is_read_from_whichever_header_says_it(
    headers: dict[str, str], limited: bool, seconds: float | None
) -> None:
    found = retry_after_seconds(headers, limited=limited, now=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-3))


def test_a_refusal_for_the_rate_carries_its_time() -> None:
    assert refused(429, b"", retry_after="3").retry_after == 3
    assert not refused(429, b"", x_ratelimit_remaining_requests="3").account_wide
    assert refused(429, b"", x_ratelimit_remaining_requests="0").account_wide
    assert refused(400, b"", x_ratelimit_reset_requests="3").retry_after is None
