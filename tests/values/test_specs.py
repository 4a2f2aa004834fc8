"""Keys and tokens are read as an operator writes them, and refused by name, never by value."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import specs
from service.values.specs import Examined, KeySpec, TokenSpec

SECRET = "Zq3vT8pLw5Xk2Nf7Rb9Yc4Hd6Jg1Ms0A"
TOKEN = "tok-7f3a9c2e5b8d1046"
OF_A_HEADER = "is a word of a header, like `Authorization: Bearer`; leave it out"


def named(kind: str, value: str) -> str:
    return f"{kind}-{sha256(value.encode()).hexdigest()[:6]}"


def digest(value: str) -> bytes:
    return sha256(value.encode()).digest()


@pytest.mark.parametrize(
    ("item", "name", "account", "secret"),
    [
        (SECRET, named("key", SECRET), named("key", SECRET), SECRET),
        (f"alice:{SECRET}", "alice", "alice", SECRET),
        (f"alice/laptop:{SECRET}", "alice/laptop", "alice", SECRET),
        (f"a-b_9:{SECRET}:more", "a-b_9", "a-b_9", f"{SECRET}:more"),
        (f"Alice:{SECRET}", named("key", f"Alice:{SECRET}"), named("key", f"Alice:{SECRET}"), f"Alice:{SECRET}"),
        (f"a/b/c:{SECRET}", named("key", f"a/b/c:{SECRET}"), named("key", f"a/b/c:{SECRET}"), f"a/b/c:{SECRET}"),
        (f"{'n' * 33}:x", named("key", f"{'n' * 33}:x"), named("key", f"{'n' * 33}:x"), f"{'n' * 33}:x"),
        (f"/x:{SECRET}", named("key", f"/x:{SECRET}"), named("key", f"/x:{SECRET}"), f"/x:{SECRET}"),
    ],
)
def test_a_key_has_a_name_only_where_it_looks_like_one(item: str, name: str, account: str, secret: str) -> None:
    assert specs.keys(item) == (KeySpec(name, account, secret),)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (TOKEN, TokenSpec(named("tenant", TOKEN), digest(TOKEN))),
        (f"team:{TOKEN}", TokenSpec("team", digest(TOKEN))),
        (f"team/a:{TOKEN}", TokenSpec(named("tenant", f"team/a:{TOKEN}"), digest(f"team/a:{TOKEN}"))),
        (f"team:sha256-{digest(TOKEN).hex()}", TokenSpec("team", digest(TOKEN))),
        (f"team:SHA256-{digest(TOKEN).hex().upper()}", TokenSpec("team", digest(TOKEN))),
        (f"sha256-{digest(TOKEN).hex()}", TokenSpec(named("tenant", TOKEN), digest(TOKEN))),
        (f"team:{TOKEN}@2026-12-01T00:00Z", TokenSpec("team", digest(TOKEN), 1796083200.0)),
        (f"{TOKEN}@2026-12-01T01:00+01:00", TokenSpec(named("tenant", TOKEN), digest(TOKEN), 1796083200.0)),
        (f"t:sha256-{digest(TOKEN).hex()}@2026-12-01T00:00:30Z", TokenSpec("t", digest(TOKEN), 1796083230.0)),
        (f"team:{TOKEN}@home", TokenSpec("team", digest(f"{TOKEN}@home"))),
    ],
)
def test_a_token_is_kept_as_its_digest_with_its_end(item: str, expected: TokenSpec) -> None:
    assert specs.tokens(item) == (expected,)


def test_many_come_in_one_text() -> None:
    assert [key.name for key in specs.keys("a:one-key\nb/c:two-key, d:three-key e:four-key,\n")] == [
        "a",
        "b/c",
        "d",
        "e",
    ]


def test_several_tokens_may_belong_to_one_tenant() -> None:
    assert [token.name for token in specs.tokens(f"team:{TOKEN},team:{TOKEN}2")] == ["team", "team"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"a:{SECRET},,b:x", "item 2 is empty"),
        (f",a:{SECRET}", "item 1 is empty"),
        ("alice:", "`alice` (item 1) has no value"),
        (f"a:{SECRET} b:{SECRET}", "`b` (item 2) is the same key as `a`"),
        (f"{SECRET} {SECRET}", f"`{named('key', SECRET)}` (item 2) is the same key as `{named('key', SECRET)}`"),
        (f"a:{SECRET} a:{SECRET}2", "`a` (item 2) is a name that another key has already"),
        (f"Bearer {SECRET}", f"`{named('key', 'Bearer')}` (item 1) {OF_A_HEADER}"),
        (f"a:{SECRET},b:bearer {SECRET}2", f"`b` (item 2) {OF_A_HEADER}"),
        (f"Authorization: Bearer {SECRET}", f"`{named('key', 'Authorization:')}` (item 1) {OF_A_HEADER}"),
        (f'a:"{SECRET}"', "`a` (item 1) has quotation marks around it; leave them out"),
        (f"a:{SECRET}'", "`a` (item 1) has quotation marks around it; leave them out"),
        (f"a:{SECRET}\u200b", "`a` (item 1) holds characters other than visible ASCII"),
        (f"a:{SECRET}\x00", "`a` (item 1) holds characters other than visible ASCII"),
        (f"a:{'x1' * 600}", "`a` (item 1) is longer than 1024 characters"),
        (" ".join(f"k{n}" for n in range(1001)), "1001 items are too many; at most 1000 are taken"),
    ],
)
def test_a_bad_key_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        specs.keys(text)


def test_what_is_just_within_the_bounds_is_taken() -> None:
    assert specs.tokens(TOKEN[:16])[0].digest == digest(TOKEN[:16])
    assert specs.keys("x1" * 512)[0].secret == "x1" * 512
    assert len(specs.keys(" ".join(f"k{n}" for n in range(1000)))) == 1000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TOKEN[:15], f"`{named('tenant', TOKEN[:15])}` (item 1) is shorter than 16 characters; make one with: openssl"),
        (f"t:{TOKEN} u:{TOKEN}", "`u` (item 2) is the same token as one of `t`"),
        (f"t:{TOKEN} u:sha256-{digest(TOKEN).hex()}", "`u` (item 2) is the same token as one of `t`"),
        (f"t:sha256-{digest(TOKEN).hex()[:-1]}", "`t` (item 1) has something other than 64 hex digits after sha256-"),
        (f"t:{TOKEN}@2026-13-01T00:00Z", "`t` (item 1) has an end that is no time like @2026-12-01T00:00Z"),
        (f"t:{TOKEN}@2026-12-01T00:00", "`t` (item 1) has an end that is no time like @2026-12-01T00:00Z"),
        (f"t:{TOKEN}@2026-12-01", "`t` (item 1) has an end that is no time like @2026-12-01T00:00Z"),
        (f"Bearer {TOKEN}", f"`{named('tenant', 'Bearer')}` (item 1) {OF_A_HEADER}"),
        ("t:your-access-token-here", "`t` (item 1) is a placeholder, not a real value"),
    ],
)
def test_a_bad_token_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        specs.tokens(text)


@pytest.mark.parametrize(
    "value",
    [
        "your-api-key-1", "your_poe_api_key", "YOUR-KEY", "YourApiKeyHere", "sk-your-key", "poe_api_key", "API-KEY-2",
        "<key>", "<your-key>", "${POE_API_KEY}", "$POE_KEY", "{{key}}", "xxxxxxxx", "sk-...", "changeme",
        "change-me-now", "placeholder", "insert-key", "replace_me", "paste-key-here", "********", "access_token",
    ],
)  # fmt: skip
def test_a_placeholder_is_no_key(value: str) -> None:
    with pytest.raises(ValueError, match=r"^`mine` \(item 1\) is a placeholder"):
        specs.keys(f"mine:{value}")


@given(st.binary(min_size=24, max_size=48))
def test_a_random_key_is_no_placeholder(raw: bytes) -> None:
    if len(set(raw)) > 8:
        secret = base64.urlsafe_b64encode(raw).decode()
        assert specs.keys(secret)[0].secret == secret


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    items: list[Examined[Any]] = [*specs.examine_keys(text), *specs.examine_tokens(text)]
    for item in items:
        assert (item.spec is None) is (item.problem is not None)
        assert item.problem is None or len(item.problem.splitlines()) == 1


@pytest.mark.parametrize(
    "shape", ["{}", "n:{}", '"{}"', "n:{}@2026-99", "n:{}\x7f", "n:{0},m:{0}", "n:{0} n:{0}9", "<{}>"]
)
def test_no_error_and_no_repr_shows_a_value(shape: str) -> None:
    text = shape.format(SECRET)
    for examined in (*specs.examine_keys(text), *specs.examine_tokens(text)):
        assert SECRET not in repr(examined)
        assert digest(SECRET).hex() not in repr(examined)


def test_every_item_is_examined_although_one_is_bad() -> None:
    examined = specs.examine_keys(f"a:{SECRET},,c:your-key,d:good-key")
    assert [(item.name, item.problem is None) for item in examined] == [
        ("a", True),
        ("item 2", False),
        ("c", False),
        ("d", True),
    ]


def test_a_bare_digest_has_the_name_that_its_token_would_have() -> None:
    bare, given_as_digest = specs.tokens(TOKEN), specs.tokens(f"sha256-{digest(TOKEN).hex()}")
    assert bare == given_as_digest
