"""Errors in Poe's shapes, on both wires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.sandbox.fault import Fault

# The table of Poe's guide (poe.md 4.6).
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_credits",
    403: "moderation_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "provider_error",
    502: "upstream_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class Refused(Exception):
    """The sandbox says no, as Poe does: on REST with `status`, on the bot wire with an event.

    `error` is the inner object of the body. `error_type` and `allow_retry` are the bot wire's words.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        error_type: str | None = None,
        allow_retry: bool = True,
        event_text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = dict(error) if error is not None else documented(status, message)
        self.headers = dict(headers or {})
        self.error_type = error_type
        self.allow_retry = allow_retry
        self.event_text = message if event_text is None else event_text

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return {"error": self.error}


def documented(status: int, message: str, *, type_: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The error object that Poe documents: a number as code, and metadata."""
    known = _TYPES.get(status, "provider_error" if status >= 500 else "invalid_request_error")
    return {"code": code or status, "type": type_ or known, "message": message, "metadata": {}}


def invalid(message: str, **more: str) -> Refused:
    """A 400 in the shape that was recorded: no number, and `param` and `code` only now and then."""
    error = {"message": message, "type": "invalid_request_error", **more}
    return Refused(400, message, error=error, error_type="user_caused_error", allow_retry=False)


def unknown_key() -> Refused:
    """A key that Poe does not know, in the usage pages' words (poe.md 4.6); the bot wire's are a guess (11.1)."""
    error = {"message": "Invalid API key.", "type": "authentication_error", "code": "invalid_api_key"}
    return Refused(401, "Invalid API key.", error=error, allow_retry=False, event_text="Access denied")


def out_of_points() -> Refused:
    """A dry account. The sentence is a guess, the type is Poe's (poe.md 1.4, 4.6)."""
    text = "You have run out of points. Add points to your account to continue."
    return Refused(402, text, error_type="insufficient_fund", allow_retry=False)


def too_many_requests(retry_after: int, *, limit: int) -> Refused:
    """The account's limit per minute is used up; the event's sentence is near what users quote (poe.md 1.5)."""
    return Refused(
        429,
        f"Rate limit exceeded: {limit} requests per minute.",
        headers={"retry-after": str(retry_after)},
        event_text="You have exceeded the rate limit for querying with a User API Key. Please try again later.",
    )


def no_such_model(name: str) -> Refused:
    """A name that nobody has; the event's words are those that other clients look for (poe.md 1.5)."""
    return Refused(404, f"Model {name} not found.", allow_retry=False, event_text="Bot does not exist")


def not_on_this_endpoint(method: str) -> Refused:
    """A model that exists, but not here; after the recorded sentence about responses (poe.md 4.6)."""
    return invalid(f"Model does not support {method} method.")


@dataclass(frozen=True, slots=True)
class NamedError:
    """An error that a prompt can ask for by name."""

    status: int
    text: str
    error_type: str | None = None
    allow_retry: bool = True


# Types of fastapi_poe's ErrorType, and the sentences of poe.md 1.5 that come without one. Which REST status goes with
# which is a guess along poe.md 4.6.
ERRORS: Mapping[str, NamedError] = {
    "insufficient_fund": NamedError(402, "You do not have enough points.", "insufficient_fund", False),
    "user_message_too_long": NamedError(413, "Your message is too long.", "user_message_too_long", False),
    "user_caused_error": NamedError(400, "The request could not be processed.", "user_caused_error", False),
    "privacy_authorization_error": NamedError(
        400, "This bot needs your authorization.", "privacy_authorization_error", False
    ),
    "internal": NamedError(500, "Internal server error"),
    "rate_limit": NamedError(
        429, "You have exceeded the rate limit for querying with a User API Key. Please try again later."
    ),
    "access_denied": NamedError(401, "Access denied", None, False),
    "no_such_bot": NamedError(404, "Bot does not exist", None, False),
    "moderation": NamedError(403, "Your request was flagged by moderation.", "user_caused_error", False),
}


def named(name: str) -> Refused:
    """The error of that name; anything else is an internal one with the name as its sentence."""
    known = ERRORS.get(name) or NamedError(500, name)
    return Refused(known.status, known.text, error_type=known.error_type, allow_retry=known.allow_retry)


def told_status(fault: Fault) -> Refused:
    """The HTTP error that a prompt asks for."""
    headers = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
    message = f"Failing as told: {fault.status}."
    error = documented(fault.status, message, type_=fault.type, code=fault.code)
    return Refused(fault.status, message, error=error, headers=headers)
