"""Keys and tokens as an operator writes them: `VALUE` or `NAME:VALUE`, several in one text.

What is wrong with an item is said by its name and its place, never by its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Generic, NamedTuple, TypeVar

from service.values.units import items

MOST_ITEMS = 1000
SHORTEST_TOKEN = 16
LONGEST_VALUE = 1024
HOW_TO_MAKE_ONE = "make one with: openssl rand -hex 24"

_TENANT = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
_KEY = re.compile(r"(?:[a-z0-9_-]{1,32}/)?[a-z0-9_-]{1,32}", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_DIGEST = re.compile(r"sha256-([0-9a-f]{64})", re.ASCII | re.IGNORECASE)
_END = re.compile(r"@([0-9]{4}-.*)", re.ASCII)
_PLACEHOLDER = re.compile(
    r"(?:sk-|poe-)?(?:your|insert|paste|replace|enter)(?:[-_].*|.*(?:key|token).*)"
    r"|(?:poe[-_]?)?(?:api|access)[-_]?(?:key|token)s?[-_]?[0-9]*"
    r"|.*(?:placeholder|change[-_]?me|replace[-_]?me|(?:key|token)[-_]?here|\.\.\.).*"
    r"|<.*>|\$\{.*\}|\$\(.*\)|\$[a-z_]\w*|\{.*\}|(.)\1{2,}",
    re.IGNORECASE,
)

_OF_A_HEADER = re.compile(r"bearer|(?:proxy-)?authorization:?|x-api-key:?", re.IGNORECASE)
"""What comes along where a header was copied; the blank behind it makes it an item of its own."""

Spec = TypeVar("Spec")


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A Poe key. `name` is unique and may be shown; keys of one `account` share its points and its limit."""

    name: str
    account: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """An access token of the tenant `name`: the SHA-256 of its text, and its end in seconds since 1970, if any."""

    name: str
    digest: bytes = field(repr=False)
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class Examined(Generic[Spec]):
    """One item of a list: its name (`item 2` where it is empty), and either its spec or what is wrong with it."""

    name: str
    spec: Spec | None
    problem: str | None = None


class _Written(NamedTuple):
    """An item taken apart; `name` is derived from the value where it has none of its own."""

    name: str
    value: str
    end: str | None = None


def keys(text: str) -> tuple[KeySpec, ...]:
    """All keys of a list; `ValueError` for the first that is wrong."""
    return _all_or_first_problem(examine_keys(text))


def tokens(text: str) -> tuple[TokenSpec, ...]:
    """All tokens of a list; `ValueError` for the first that is wrong."""
    return _all_or_first_problem(examine_tokens(text))


def token(name: str, value: str) -> TokenSpec:
    """The spec of a token whose text is at hand."""
    return TokenSpec(name, sha256(value.encode()).digest())


def examine_keys(text: str) -> list[Examined[KeySpec]]:
    """Every key of a list with what is wrong with it."""
    owners: dict[str, str] = {}
    names: set[str] = set()

    def spec_of(written: _Written) -> KeySpec:
        _refuse_bad_value(written.value)
        if written.value in owners:
            raise ValueError(f"is the same key as `{owners[written.value]}`")
        if written.name in names:
            raise ValueError("is a name that another key has already")
        owners[written.value] = written.name
        names.add(written.name)
        return KeySpec(written.name, written.name.split("/")[0], written.value)

    return _examine(text, _key_as_written, spec_of)


def examine_tokens(text: str) -> list[Examined[TokenSpec]]:
    """Every token of a list with what is wrong with it; one tenant may have several tokens."""
    owners: dict[bytes, str] = {}

    def spec_of(written: _Written) -> TokenSpec:
        _refuse_bad_value(written.value)
        digest = _digest(written.value)
        if digest in owners:
            raise ValueError(f"is the same token as one of `{owners[digest]}`")
        owners[digest] = written.name
        return TokenSpec(written.name, digest, None if written.end is None else _moment(written.end))

    return _examine(text, _token_as_written, spec_of)


def _examine(text: str, apart: Callable[[str], _Written], spec_of: Callable[[_Written], Spec]) -> list[Examined[Spec]]:
    listed = items(text)
    if len(listed) > MOST_ITEMS:
        return [Examined("list", None, f"{len(listed)} items are too many; at most {MOST_ITEMS} are taken")]
    examined: list[Examined[Spec]] = []
    for place, item in enumerate(listed, 1):
        if not item:
            examined.append(Examined(f"item {place}", None, f"item {place} is empty"))
            continue
        written = apart(item)
        try:
            examined.append(Examined(written.name, spec_of(written)))
        except ValueError as problem:
            examined.append(Examined(written.name, None, f"`{written.name}` (item {place}) {problem}"))
    return examined


def _all_or_first_problem(examined: list[Examined[Spec]]) -> tuple[Spec, ...]:
    for item in examined:
        if item.problem is not None:
            raise ValueError(item.problem)
    return tuple(item.spec for item in examined if item.spec is not None)


def _key_as_written(item: str) -> _Written:
    name, value = _split(item, _KEY)
    return _Written(name or _derived_name("key", _sha256(value)), value)


def _token_as_written(item: str) -> _Written:
    end = _END.search(item)
    name, value = _split(item[: end.start()] if end else item, _TENANT)
    given = _DIGEST.fullmatch(value)
    digest = bytes.fromhex(given[1]) if given else _sha256(value)
    return _Written(name or _derived_name("tenant", digest), value, end[1] if end else None)


def _split(item: str, names: re.Pattern[str]) -> tuple[str | None, str]:
    """Name and value; what stands before the first colon is a name only where it looks like one."""
    before, colon, after = item.partition(":")
    if colon and names.fullmatch(before) is not None:
        return before, after
    return None, item


def _derived_name(kind: str, digest: bytes) -> str:
    return f"{kind}-{digest.hex()[:6]}"


def _sha256(value: str) -> bytes:
    return sha256(value.encode("utf-8", "replace")).digest()


def _digest(value: str) -> bytes:
    if value.lower().startswith("sha256-"):
        if (given := _DIGEST.fullmatch(value)) is None:
            raise ValueError("has something other than 64 hex digits after sha256-")
        return bytes.fromhex(given[1])
    if len(value) < SHORTEST_TOKEN:
        raise ValueError(f"is shorter than {SHORTEST_TOKEN} characters; {HOW_TO_MAKE_ONE}")
    return _sha256(value)


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("has an end that is no time like @2026-12-01T00:00Z")
    return moment.timestamp()


def _refuse_bad_value(value: str) -> None:
    if not value:
        raise ValueError("has no value")
    if value[0] in "\"'" or value[-1] in "\"'":
        raise ValueError("has quotation marks around it; leave them out")
    if _OF_A_HEADER.fullmatch(value) is not None:
        raise ValueError("is a word of a header, like `Authorization: Bearer`; leave it out")
    if _VISIBLE.fullmatch(value) is None:
        raise ValueError("holds characters other than visible ASCII")
    if len(value) > LONGEST_VALUE:
        raise ValueError(f"is longer than {LONGEST_VALUE} characters")
    if _PLACEHOLDER.fullmatch(value) is not None:
        raise ValueError("is a placeholder, not a real value")
