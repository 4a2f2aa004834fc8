"""What Poe means when it refuses: from a status, headers, a body or an in-band error to one Failure.

Poe's bodies differ from endpoint to endpoint and from its own documentation: the code is a number, a string or absent,
the message stands in one of five places, and what stands before Poe answers in HTML. So the status speaks first, then
the words in `type` and `code`, and the sentence only where both leave it open.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.errors import Failure, Kind
from service.wires.refusal_body import Said, read_body, read_payload
from service.wires.refusal_words import DEFAULTS, VAGUE, WORDS, kind_in_sentence, named_parameter
from service.wires.retry_after import retry_after_seconds
from service.wires.scrub import scrub

STATUSES: Mapping[int, Kind] = {
    401: Kind.KEY_REVOKED,
    402: Kind.DRY,
    405: Kind.NOT_ON_WIRE,
    408: Kind.SILENT,
    413: Kind.TOO_LONG,
    501: Kind.NOT_ON_WIRE,
    504: Kind.SILENT,
    524: Kind.SILENT,
}
"""Statuses that leave nothing open. 524 is the edge's word for an upstream that did not answer in time."""

_NO_PAGES = frozenset({403, 404, 405, 501})
"""What Poe says about a model or a key with these it says in JSON: a page is by whatever stands before it."""

_PASSING = frozenset({Kind.BROKEN, Kind.SILENT, Kind.RATE_LIMITED})
"""What a sentence cannot turn a 400 into: "please try again" is said about bad requests too."""


def failure_from_status(
    status: int, headers: Mapping[str, str], body: bytes, *, secret: str = "", now: float | None = None
) -> Failure:
    """What an HTTP answer that is not the asked one means.

    `headers` is looked up by lower-case names (aiohttp's do that for any case); `secret` is the key that was in use, so
    that it cannot come back in the message; `now` is in seconds since the epoch.
    """
    said = read_body(body)
    kind = _kind_of_status(status, said)
    param = named_parameter(said) if kind is Kind.BAD_REQUEST else None
    if param is not None:
        kind = Kind.UNSUPPORTED_PARAMETER
    retry_after = retry_after_seconds(headers, limited=status in (429, 503, 529), now=now)
    failure = _failure(kind, said, secret, status=status, retry_after=retry_after, param=param)
    remaining = headers.get("x-ratelimit-remaining-requests", "").strip()
    failure.account_wide = kind is Kind.RATE_LIMITED and remaining == "0"
    return failure


def failure_from_error(payload: object, *, secret: str = "") -> Failure:
    """What an error inside an answer means: the JSON of a bot's `error` event, or an object with an `error` member."""
    said = read_payload(payload)
    kind = _kind_of_words(said)
    if kind is None and said.number is not None and said.number >= 400:
        kind = _kind_of_status(said.number, said)
    if kind is None:
        # A sentence is all there is. One that nobody understands is a failure of the bot, not of the caller.
        vague = Kind.BAD_REQUEST if {said.type, said.code} & VAGUE.keys() else Kind.BROKEN
        kind = kind_in_sentence(said.message) or vague
    param = named_parameter(said) if kind is Kind.BAD_REQUEST else None
    if param is not None:
        kind = Kind.UNSUPPORTED_PARAMETER
    return _failure(kind, said, secret, param=param)


def _failure(
    kind: Kind,
    said: Said,
    secret: str,
    *,
    status: int | None = None,
    retry_after: float | None = None,
    param: str | None = None,
) -> Failure:
    return Failure(
        kind,
        scrub(said.message, secret) or DEFAULTS[kind],
        status=status,
        retry_after=retry_after,
        error_type=_word(said.type, secret),
        code=_word(said.code, secret),
        param=_word(param or said.param, secret),
    )


def _word(word: str | None, secret: str) -> str | None:
    return scrub(word, secret)[:100] or None if word else None


def _kind_of_words(said: Said) -> Kind | None:
    """What `code` or else `type` says, None where both are vague or missing."""
    return WORDS.get(said.code or "") or WORDS.get(said.type or "")


def _kind_of_status(status: int, said: Said) -> Kind:
    if said.is_page and status in _NO_PAGES:
        return Kind.BROKEN
    firm = STATUSES.get(status)
    if firm is not None:
        return firm
    if status == 403:
        return _forbidden(said)
    if status == 404:
        return Kind.NOT_ON_WIRE if kind_in_sentence(said.message) is Kind.NOT_ON_WIRE else Kind.NO_SUCH_MODEL
    if status == 429:
        return Kind.DRY if _kind_of_words(said) is Kind.DRY else Kind.RATE_LIMITED
    if 400 <= status < 500:
        return _bad_request(said)
    if status >= 500:
        words = _kind_of_words(said)
        return words if words in (Kind.TOO_LONG, Kind.MODERATED, Kind.DRY) else Kind.BROKEN
    return _kind_of_words(said) or Kind.BROKEN


def _bad_request(said: Said) -> Kind:
    words = _kind_of_words(said)
    if words is not None:
        return words
    sentence = kind_in_sentence(said.message)
    return Kind.BAD_REQUEST if sentence is None or sentence in _PASSING else sentence


def _forbidden(said: Said) -> Kind:
    """A 403 is about the content, about the model, or about the account."""
    words = _kind_of_words(said)
    sentence = kind_in_sentence(said.message)
    for kind in (words, sentence):
        if kind in (Kind.MODERATED, Kind.KEY_REVOKED, Kind.DRY, Kind.NO_SUCH_MODEL, Kind.NEEDS_AUTHORIZATION):
            return kind
    about_model = Kind.NOT_COVERED in (words, sentence) or "model" in said.message.lower()
    return Kind.NOT_COVERED if about_model else Kind.KEY_REVOKED
