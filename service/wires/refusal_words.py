"""The words and sentences with which Poe and the providers behind it refuse, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from service.errors import Kind
from service.wires.refusal_body import Said

WORDS: Mapping[str, Kind] = {
    "authentication_error": Kind.KEY_REVOKED,
    "invalid_api_key": Kind.KEY_REVOKED,
    "insufficient_credits": Kind.DRY,
    "insufficient_fund": Kind.DRY,
    "insufficient_funds": Kind.DRY,
    "insufficient_points": Kind.DRY,
    "insufficient_quota": Kind.DRY,
    "billing_error": Kind.DRY,
    "moderation_error": Kind.MODERATED,
    "content_filter": Kind.MODERATED,
    "content_policy_violation": Kind.MODERATED,
    "context_length_exceeded": Kind.TOO_LONG,
    "string_above_max_length": Kind.TOO_LONG,
    "request_too_large": Kind.TOO_LONG,
    "user_message_too_long": Kind.TOO_LONG,
    "privacy_authorization_error": Kind.NEEDS_AUTHORIZATION,
    "unsupported_feature_for_model": Kind.BAD_REQUEST,
    "model_not_found": Kind.NO_SUCH_MODEL,
    "not_found_error": Kind.NO_SUCH_MODEL,
    "permission_error": Kind.NOT_COVERED,
    "rate_limit_error": Kind.RATE_LIMITED,
    "rate_limit_exceeded": Kind.RATE_LIMITED,
    "timeout_error": Kind.SILENT,
    "overloaded_error": Kind.BROKEN,
    "provider_error": Kind.BROKEN,
    "server_error": Kind.BROKEN,
    "upstream_error": Kind.BROKEN,
    "api_error": Kind.BROKEN,
}
"""What stands in `type`, `code` and `error_type`, where it says enough."""

VAGUE: Mapping[str | None, Kind] = {
    "invalid_request_error": Kind.BAD_REQUEST,
    "user_caused_error": Kind.BAD_REQUEST,
    "bad_request": Kind.BAD_REQUEST,
}
"""Words that say whose fault it is and no more; the sentence may say what it was."""

_SENTENCES: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile("|".join(patterns), re.IGNORECASE), kind)
    for kind, patterns in (
        (
            Kind.NOT_ON_WIRE,
            [
                r"does not support (?:the )?[\w/ -]{1,40} (?:method|endpoint)\b",
                r"not supported (?:on|by|in|with) this endpoint",
            ],
        ),
        (
            Kind.TOO_LONG,
            [
                r"context[ _-]?(?:length|window)",
                r"(?:prompt|messages?|input|request|conversation|context)[\w ]{0,20} too (?:long|large)",
                r"maximum (?:context|prompt|number of (?:input )?tokens)",
                r"too many (?:input |prompt )?tokens",
            ],
        ),
        (Kind.RATE_LIMITED, [r"rate.?limit", r"too many requests", r"requests? per minute"]),
        (
            Kind.DRY,
            [
                r"insufficient (?:compute )?(?:point|credit|fund|quota|balance)",
                r"(?:not enough|out of|no more|no) (?:compute )?(?:points|credits|funds)\b",
                r"exceeded your (?:current )?quota",
            ],
        ),
        (
            Kind.MODERATED,
            [
                r"moderat(?:ion|ed|or)",
                r"content[ _](?:policy|filter)",
                r"usage polic",
                r"safety (?:system|polic|filter)",
            ],
        ),
        (
            Kind.NO_SUCH_MODEL,
            [
                r"\b(?:bot|model)\b.{0,80}(?:does not exist|doesn't exist|not found|not defined)",
                r"\b(?:bot|model)\b.{0,80}no longer (?:exists|available)",
                r"(?:no such|unknown|cannot find|could not find) (?:bot|model)\b",
            ],
        ),
        (
            Kind.NOT_COVERED,
            [
                r"subscri(?:be|ber|ption)",
                r"\b(?:your|this) plan\b",
                r"(?:no|not have) access to (?:the |this )?(?:model|bot)\b",
            ],
        ),
        (
            Kind.KEY_REVOKED,
            [
                r"(?:invalid|incorrect|expired|revoked) (?:token|api.?key|access.?key|credentials)",
                r"unauthori[sz]ed|not authenticated|access denied",
                r"(?:account|key) (?:(?:has been|is|was) )?(?:suspended|disabled|banned|deactivated|revoked|expired)",
            ],
        ),
        (Kind.SILENT, [r"timed? ?out\b", r"took too long"]),
        (Kind.BROKEN, [r"internal (?:server )?error", r"overloaded", r"try again", r"unavailable", r"went wrong"]),
    )
)
"""What a sentence says; the first that fits."""

_LONGEST_SENTENCE = 2_000

_MEMBER = "(?:parameter|field|argument|property)"
_NAME = r"['\"`]?([a-z_][a-z0-9_]*)['\"`]?"
_PARAMETER_SENTENCES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:unknown|unsupported|unrecogni[sz]ed|unexpected|extra) (?:request )?{_MEMBER}s?(?: supplied)?:? *{_NAME}",
        rf"unsupported value: {_NAME} does not support",
        rf"{_MEMBER} {_NAME} is (?:not (?:supported|allowed|permitted)|unsupported|unknown)",
        rf"^{_NAME}:? (?:is not (?:supported|permitted|allowed)|extra inputs are not permitted)",
        rf"\({_NAME} was unexpected\)",
    )
)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|not (?:permitted|allowed)|extra input", re.IGNORECASE
)
_CORE = frozenset(
    {"model", "messages", "query", "input", "stream", "role", "content", "the", "a", "this", "value", "in"}
)
"""Members that cannot be left out, and words of a sentence that are no members."""

DEFAULTS: Mapping[Kind, str] = {
    Kind.BAD_REQUEST: "Poe refused the request.",
    Kind.UNSUPPORTED_PARAMETER: "Poe refused a parameter.",
    Kind.TOO_LONG: "The prompt is too long for the model.",
    Kind.MODERATED: "Poe's moderation refused the request.",
    Kind.NEEDS_AUTHORIZATION: "The bot wants an authorisation that only its user can give.",
    Kind.NO_SUCH_MODEL: "Poe knows no such model.",
    Kind.NOT_ON_WIRE: "The model does not work on this endpoint of Poe.",
    Kind.NOT_COVERED: "The key's plan does not cover the model.",
    Kind.KEY_REVOKED: "Poe does not accept the key.",
    Kind.DRY: "The account is out of points.",
    Kind.RATE_LIMITED: "Poe's rate limit is reached.",
    Kind.BROKEN: "Poe failed to answer.",
    Kind.SILENT: "Poe did not answer in time.",
}
"""What is said where Poe says nothing that is fit to be shown."""


def kind_in_sentence(message: str) -> Kind | None:
    """What a sentence says by itself, None where it is none that we know."""
    message = message[:_LONGEST_SENTENCE]
    return next((kind for pattern, kind in _SENTENCES if pattern.search(message)), None)


def named_parameter(said: Said) -> str | None:
    """The request's member that a refusal is about because the model does not take it; None for any other refusal."""
    message = said.message[:_LONGEST_SENTENCE]
    code_says_so = said.code in ("unsupported_parameter", "unknown_parameter", "unsupported_value")
    if said.param and (code_says_so or _UNSUPPORTED.search(message)):
        return said.param if said.param.isidentifier() and said.param not in _CORE else None
    for pattern in _PARAMETER_SENTENCES:
        found = pattern.search(message)
        if found is not None and found[1].lower() not in _CORE:
            return found[1]
    return None
