"""Everything that can go wrong, in two trees.

Refusal                what a caller is told: status, type, code, the field at fault, when to come back
Failure                how one attempt on an upstream failed; its `kind` alone decides what happens next
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Refusal(Exception):
    """An answer that is an error, in neutral words; each dialect renders it in its own shape.

    `retry_after` is in seconds. `type_` and `code` are OpenAI's words (interface: errors), from which
    Anthropic's follow.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        should_retry: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type_
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.headers = headers


class Kind(StrEnum):
    """The ways in which an attempt fails. What each one means for the key, the retry and the caller: `POLICY`."""

    BAD_REQUEST = "bad_request"
    """Poe refuses the request itself (400 and its kin)."""
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    """A 400 that names a parameter which the model does not take: `Failure.param`."""
    TOO_LONG = "too_long"
    MODERATED = "moderated"
    NEEDS_AUTHORIZATION = "needs_authorization"
    NO_SUCH_MODEL = "no_such_model"
    NOT_ON_WIRE = "not_on_wire"
    """The model exists but not behind this endpoint."""
    UNSENDABLE = "unsendable"
    """This wire cannot carry what the prompt holds; nothing was sent."""
    NOT_COVERED = "not_covered"
    """The key's plan does not cover the model (403 about a model)."""
    KEY_REVOKED = "key_revoked"
    """401, or a 403 about the account."""
    DRY = "dry"
    """402: the account is out of points."""
    RATE_LIMITED = "rate_limited"
    BROKEN = "broken"
    """5xx, an in-band internal error, a body that is no answer."""
    EMPTY = "empty"
    """A proper end with nothing before it."""
    CUT = "cut"
    """The stream ended without its proper end, or a chunk could not be read."""
    UNREACHABLE = "unreachable"
    """DNS, TLS, refused or reset before an answer."""
    SILENT = "silent"
    """No sign of work in time, or none for too long."""
    UPLOAD_REFUSED = "upload_refused"
    """Poe no longer takes an attachment's URL; uploading again may help."""


DEFAULT_RETRY_AFTER = 2.0
"""Seconds that a caller is told to wait where nothing says better."""

Blame = Literal["request", "model", "key", "account", "poe", "network"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a kind of failure means.

    `other_key`, `other_wire`, `other_model`: whether one of them can help; `same_key`: whether plain repetition can.
    """

    blame: Blame
    other_key: bool = False
    other_wire: bool = False
    other_model: bool = False
    same_key: bool = False


POLICY: dict[Kind, Policy] = {
    Kind.BAD_REQUEST: Policy("request"),
    Kind.UNSUPPORTED_PARAMETER: Policy("request", same_key=True),
    Kind.TOO_LONG: Policy("request", other_model=True),
    Kind.MODERATED: Policy("request"),
    Kind.NEEDS_AUTHORIZATION: Policy("request"),
    Kind.NO_SUCH_MODEL: Policy("model", other_wire=True, other_model=True),
    Kind.NOT_ON_WIRE: Policy("model", other_wire=True, other_model=True),
    Kind.UNSENDABLE: Policy("request", other_wire=True, other_model=True),
    Kind.NOT_COVERED: Policy("model", other_key=True, other_model=True),
    Kind.KEY_REVOKED: Policy("key", other_key=True),
    Kind.DRY: Policy("account", other_key=True, other_model=True),
    Kind.RATE_LIMITED: Policy("account", other_key=True, other_model=True),
    Kind.BROKEN: Policy("poe", other_key=True, other_model=True, same_key=True),
    Kind.EMPTY: Policy("poe", other_key=True, other_wire=True, other_model=True, same_key=True),
    Kind.CUT: Policy("poe", other_key=True, other_model=True, same_key=True),
    Kind.UNREACHABLE: Policy("network", other_key=True, other_model=True, same_key=True),
    Kind.SILENT: Policy("network", other_key=True, other_wire=True, other_model=True),
    Kind.UPLOAD_REFUSED: Policy("request", same_key=True),
}


class Failure(Exception):
    """One attempt failed.

    `message` is safe to show a caller: cleaned, at most 500 characters, no markup, no secret. `status` is Poe's HTTP
    status, None where the failure came in band or below HTTP; `retry_after` is in seconds. `error_type`, `code` and
    `param` are Poe's own words where they are strings. `account_wide`: Poe said that the limit is the whole account's
    (no requests remaining), not the model's.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        error_type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        account_wide: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.error_type = error_type
        self.code = code
        self.param = param
        self.account_wide = account_wide


@dataclass(frozen=True, slots=True)
class Told:
    """How a kind of failure is told to a caller when nothing is left to try (interface: errors)."""

    status: int
    type: str
    code: str | None
    param: str | None = None
    waits: bool = False
    should_retry: bool = False


UPSTREAM_ERROR = Told(502, "server_error", "upstream_error")
TOLD: dict[Kind, Told] = {
    Kind.BAD_REQUEST: Told(400, "invalid_request_error", None),
    Kind.UNSUPPORTED_PARAMETER: Told(400, "invalid_request_error", None),
    Kind.UPLOAD_REFUSED: Told(400, "invalid_request_error", None),
    Kind.TOO_LONG: Told(400, "invalid_request_error", "context_length_exceeded", "messages"),
    Kind.MODERATED: Told(400, "invalid_request_error", "content_filter"),
    Kind.NEEDS_AUTHORIZATION: Told(400, "invalid_request_error", "privacy_authorization_required"),
    Kind.NO_SUCH_MODEL: Told(404, "invalid_request_error", "model_not_found", "model"),
    Kind.NOT_ON_WIRE: Told(404, "invalid_request_error", "model_not_found", "model"),
    Kind.UNSENDABLE: Told(400, "invalid_request_error", None),
    Kind.NOT_COVERED: Told(404, "invalid_request_error", "model_not_available", "model"),
    Kind.DRY: Told(402, "insufficient_quota", "insufficient_points"),
    Kind.RATE_LIMITED: Told(429, "rate_limit_error", "upstream_rate_limited", waits=True, should_retry=True),
    Kind.KEY_REVOKED: Told(503, "server_error", "no_usable_key", waits=True),
    Kind.SILENT: Told(504, "server_error", "upstream_timeout"),
    Kind.BROKEN: UPSTREAM_ERROR,
    Kind.EMPTY: UPSTREAM_ERROR,
    Kind.CUT: UPSTREAM_ERROR,
    Kind.UNREACHABLE: UPSTREAM_ERROR,
}


def refusal_for(failure: Failure) -> Refusal:
    """What a caller is told when nothing is left to try after `failure`. Of a 400, Poe's own words are passed on."""
    told = TOLD[failure.kind]
    own = told.status == 400 and told.code is None
    return Refusal(
        told.status,
        failure.message,
        type_=(own and failure.error_type) or told.type,
        code=failure.code if own else told.code,
        param=failure.param if own else told.param,
        retry_after=(failure.retry_after or DEFAULT_RETRY_AFTER) if told.waits else None,
        should_retry=told.should_retry,
    )
