"""Take secrets out of everything that is shown: those that are known by value, and what looks like a token of Fly."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
SHORTEST = 4
"""Shorter values stand in every other word; nothing so short is accepted as a secret anyway."""
_FLY_TOKEN = re.compile(r"(?:FlyV1 +)?fm[12][a-z]?_[\w+/=,.-]+|FlyV1 +[^\s\"'\\]+")
_ESCAPE_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_END = re.compile(r"@\d{4}-\d\d-\d\dT.*$")
"""When an access token ends, as ACCESS_TOKENS takes it."""


class Redactor:
    """Remembers secrets and hides them. Its own representation tells nothing."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, text: str) -> None:
        """Hide this text from now on, and each item of it where it is a list, with or without its name and its end."""
        for item in (text, *re.split(r"[\s,]+", text)):
            bare = item.partition(":")[2]
            for form in (item, bare, _END.sub("", item), _END.sub("", bare)):
                if len(form) >= SHORTEST:
                    self._secrets.add(form)

    def __call__(self, text: str) -> str:
        """The text without secrets, escape codes and control characters."""
        text = _CONTROL.sub("", _ESCAPE_CODES.sub("", text))
        # The longest first: a shorter one may be a part of it.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return _FLY_TOKEN.sub(HIDDEN, text)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"
