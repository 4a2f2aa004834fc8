"""Making an upstream's sentence fit to be shown: no markup, no secret, no control characters, one line, not long."""

from __future__ import annotations

import html
import re

LONGEST_MESSAGE = 500
"""Characters of a message that a caller may see (interface: errors)."""
LONGEST_READ = 20_000
"""Characters that are looked at; a page of HTML says what it has to say before that."""

_UNSEEN = re.compile(r"<(script|style|svg)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_SECRETS = re.compile(
    r"(?i:\bbearer\s+)[^\s\"',;]+"
    r"|\b(?:sk|pk|poe)-[\w*.-]*\d[\w*.-]{7,}"
    r"|(?<![\w/-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{32,}",
    re.ASCII,
)
"""What looks like a key: after `Bearer`, after a known prefix, or a long run of mixed case and digits."""


def scrub(text: str, secret: str = "") -> str:
    """`text` as a caller may see it, at most LONGEST_MESSAGE characters. `secret` is the key that was in use."""
    if secret:
        text = text.replace(secret, "[key]")
    text = text[:LONGEST_READ]
    if "<" in text:
        text = _without_markup(text)
    text = _BLANKS.sub(" ", text.encode("utf-8", "replace").decode()).strip()
    text = _SECRETS.sub("[key]", text)
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1].rstrip() + "…"


def looks_like_html(text: str) -> bool:
    """Whether a body is a page for people, as what stands before Poe answers with."""
    return (
        text.lstrip("\ufeff \t\r\n")[:200].lower().startswith(("<!doctype html", "<html", "<head", "<?xml", "<center"))
    )


def _without_markup(text: str) -> str:
    if looks_like_html(text):
        title = _TITLE.search(text)
        if title is not None and title[1].strip():
            text = title[1]
    return html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text)))
