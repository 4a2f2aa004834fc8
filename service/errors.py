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

    `retry_after` is in seconds. `type_` and `code` are OpenAI's words (interface: errors); Anthropic's follow from them.
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


def refusal_for(failure: Failure) -> Refusal:
    """What a caller is told when nothing is left to try after `failure` (interface: errors)."""
    kind, message = failure.kind, failure.message
    match kind:
        case Kind.BAD_REQUEST | Kind.UNSUPPORTED_PARAMETER | Kind.UPLOAD_REFUSED:
            type_ = failure.error_type or "invalid_request_error"
            return Refusal(400, message, type_=type_, code=failure.code, param=failure.param)
        case Kind.TOO_LONG:
            return Refusal(400, message, code="context_length_exceeded", param="messages")
        case Kind.MODERATED:
            return Refusal(400, message, code="content_filter")
        case Kind.NEEDS_AUTHORIZATION:
            return Refusal(400, message, code="privacy_authorization_required")
        case Kind.NO_SUCH_MODEL | Kind.NOT_ON_WIRE:
            return Refusal(404, message, code="model_not_found", param="model")
        case Kind.NOT_COVERED:
            return Refusal(404, message, code="model_not_available", param="model")
        case Kind.DRY:
            return Refusal(402, message, type_="insufficient_quota", code="insufficient_points")
        case Kind.RATE_LIMITED:
            after = failure.retry_after or DEFAULT_RETRY_AFTER
            return Refusal(
                429,
                message,
                type_="rate_limit_error",
                code="upstream_rate_limited",
                retry_after=after,
                should_retry=True,
            )
        case Kind.KEY_REVOKED:
            after = failure.retry_after or DEFAULT_RETRY_AFTER
            return Refusal(503, message, type_="server_error", code="no_usable_key", retry_after=after)
        case Kind.SILENT:
            return Refusal(504, message, type_="server_error", code="upstream_timeout")
        case _:
            return Refusal(502, message, type_="server_error", code="upstream_error")
