"""Everything that can go wrong, in two trees.

Refusal                what a caller is told: status, type, code, the field at fault, when to come back
Failure                how one attempt on an upstream failed; its `kind` alone decides what happens next
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
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
    """The ways in which an attempt fails. What each one is, and what follows from it: `POLICY`."""

    BAD_REQUEST = "bad_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    UPLOAD_REFUSED = "upload_refused"
    UNSENDABLE = "unsendable"
    TOO_LONG = "too_long"
    MODERATED = "moderated"
    NEEDS_AUTHORIZATION = "needs_authorization"
    NO_SUCH_MODEL = "no_such_model"
    NOT_ON_WIRE = "not_on_wire"
    NOT_COVERED = "not_covered"
    RATE_LIMITED = "rate_limited"
    DRY = "dry"
    KEY_REVOKED = "key_revoked"
    BROKEN = "broken"
    EMPTY = "empty"
    CUT = "cut"
    UNREACHABLE = "unreachable"
    SILENT = "silent"


DEFAULT_RETRY_AFTER = 2.0
"""Seconds that a caller is told to wait where nothing says better."""

Blame = Literal["request", "model", "key", "account", "poe", "network"]
Rested = Literal["nothing", "key and model", "key", "account", "model and wire"]


@dataclass(frozen=True, slots=True)
class Told:
    """How a kind of failure is told to a caller when nothing is left to try (interface: errors)."""

    status: int
    type: str
    code: str | None
    param: str | None = None
    waits: bool = False
    should_retry: bool = False


REFUSED = Told(400, "invalid_request_error", None)
MISSING = Told(404, "invalid_request_error", "model_not_found", "model")
UPSTREAM_ERROR = Told(502, "server_error", "upstream_error")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a kind of failure means: whose fault it is, what can help, what rests, what the caller sees at the end.

    `other_key`, `other_wire`, `other_model`: whether one of them can help; `same_key`: whether plain repetition can.
    `rests`: what later requests are kept from, and `keys` and `routing.circuits` say for how long.
    """

    what: str
    blame: Blame
    told: Told
    other_key: bool = False
    other_wire: bool = False
    other_model: bool = False
    same_key: bool = False
    rests: Rested = "nothing"

    @property
    def passes(self) -> bool:
        """Whether the failure is Poe's or the network's, and the same request may do better in a moment."""
        return self.rests == "model and wire"


def _passing(
    what: str, blame: Blame, told: Told = UPSTREAM_ERROR, *, other_wire: bool = False, same_key: bool = True
) -> Policy:
    """A failure that counts against a model on a wire, and never against a key."""
    return Policy(
        what,
        blame,
        told,
        other_key=True,
        other_wire=other_wire,
        other_model=True,
        same_key=same_key,
        rests="model and wire",
    )


POLICY: Mapping[Kind, Policy] = MappingProxyType(
    {
        Kind.BAD_REQUEST: Policy("Poe refuses the request itself", "request", REFUSED),
        Kind.UNSUPPORTED_PARAMETER: Policy(
            "a refusal that names a parameter which the model does not take", "request", REFUSED, same_key=True
        ),
        Kind.UPLOAD_REFUSED: Policy(
            "Poe no longer takes an attachment's URL; uploading it again may help", "request", REFUSED, same_key=True
        ),
        Kind.UNSENDABLE: Policy(
            "this wire cannot carry what the prompt holds; nothing was sent",
            "request",
            REFUSED,
            other_wire=True,
            other_model=True,
        ),
        Kind.TOO_LONG: Policy(
            "the prompt is too long for the model",
            "request",
            Told(400, "invalid_request_error", "context_length_exceeded", "messages"),
            other_model=True,
        ),
        Kind.MODERATED: Policy(
            "the prompt or the answer was refused for its content",
            "request",
            Told(400, "invalid_request_error", "content_filter"),
        ),
        Kind.NEEDS_AUTHORIZATION: Policy(
            "the bot wants an authorisation that only its user can give",
            "request",
            Told(400, "invalid_request_error", "privacy_authorization_required"),
        ),
        Kind.NO_SUCH_MODEL: Policy("Poe knows no such model", "model", MISSING, other_wire=True, other_model=True),
        Kind.NOT_ON_WIRE: Policy(
            "the model exists, but not behind this endpoint", "model", MISSING, other_wire=True, other_model=True
        ),
        Kind.NOT_COVERED: Policy(
            "the key's plan does not cover the model",
            "model",
            Told(404, "invalid_request_error", "model_not_available", "model"),
            other_key=True,
            other_model=True,
            rests="key and model",
        ),
        Kind.RATE_LIMITED: Policy(
            "Poe limits the rate",
            "account",
            Told(429, "rate_limit_error", "upstream_rate_limited", waits=True, should_retry=True),
            other_key=True,
            other_model=True,
            rests="key and model",
        ),
        Kind.DRY: Policy(
            "the account is out of points",
            "account",
            Told(402, "insufficient_quota", "insufficient_points"),
            other_key=True,
            other_model=True,
            rests="account",
        ),
        Kind.KEY_REVOKED: Policy(
            "Poe does not accept the key, or its account",
            "key",
            Told(503, "server_error", "no_usable_key", waits=True),
            other_key=True,
            rests="key",
        ),
        Kind.BROKEN: _passing("Poe failed, or what came is no answer", "poe"),
        Kind.EMPTY: _passing("an answer with a proper end and nothing before it", "poe", other_wire=True),
        Kind.CUT: _passing("the answer broke off, or a part of it could not be read", "poe"),
        Kind.UNREACHABLE: _passing(
            "no answer came about: name, connection, TLS, or a break before the first byte", "network"
        ),
        Kind.SILENT: _passing(
            "no sign of work in time, or none for too long",
            "network",
            Told(504, "server_error", "upstream_timeout"),
            other_wire=True,
            same_key=False,
        ),
    }
)
"""The failure table. Everything that follows a failure is decided by its row; `docs/failures.md` is made from it."""


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
    """What a caller is told when nothing is left to try after `failure`. Of a 400, Poe's own words are passed on."""
    told = POLICY[failure.kind].told
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
