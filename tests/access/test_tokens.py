"""A token leads to its tenant while it lasts, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access import tokens as module
from service.access.tokens import Tokens
from service.values import specs

FIRST, SECOND, OTHER = "tok-7f3a9c2e5b8d1046", "tok-0123456789abcdef", "tok-fedcba9876543210"


def test_each_token_leads_to_its_tenant() -> None:
    tokens = Tokens(specs.tokens(f"red:{FIRST} red:{SECOND} blue:{OTHER}"))
    assert [tokens.tenant_for(token, 0) for token in (FIRST, SECOND, OTHER)] == ["red", "red", "blue"]
    assert tokens.tenant_for(FIRST.encode(), 0) == "red"
    assert len(tokens) == 3


@pytest.mark.parametrize("token", ["", FIRST[:-1], FIRST + " ", FIRST.upper(), "é" * 20, "\udcff", "red"])
def test_any_other_text_leads_nowhere(token: str) -> None:
    assert Tokens(specs.tokens(f"red:{FIRST}")).tenant_for(token, 0) is None


def test_the_digest_of_a_token_is_no_token() -> None:
    tokens = Tokens(specs.tokens(f"red:{FIRST}"))
    digest = specs.token("red", FIRST).digest
    for shown in (digest, digest.hex(), f"sha256-{digest.hex()}"):
        assert tokens.tenant_for(shown, 0) is None


def test_a_token_given_as_a_digest_works() -> None:
    digest = specs.token("", FIRST).digest.hex()
    assert Tokens(specs.tokens(f"red:sha256-{digest}")).tenant_for(FIRST, 0) == "red"


def test_a_token_ends_at_its_moment() -> None:
    tokens = Tokens(specs.tokens(f"red:{FIRST}@2026-12-01T00:00Z blue:{SECOND}"))
    assert tokens.tenant_for(FIRST, 1796083199.9) == "red"
    assert tokens.tenant_for(FIRST, 1796083200.0) is None
    assert tokens.tenant_for(SECOND, 1e12) == "blue"


def test_without_tokens_nobody_comes_in() -> None:
    assert Tokens(()).tenant_for("", 0) is None


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    seen: list[bytes] = []

    def spy(known: bytes, shown: bytes) -> bool:
        seen.append(known)
        return known == shown

    monkeypatch.setattr(module, "compare_digest", spy)
    return seen


@pytest.mark.parametrize("token", [FIRST, OTHER, "nobody's"])
def test_every_digest_is_compared_wherever_the_match_is(compared: list[bytes], token: str) -> None:
    given_specs = specs.tokens(f"red:{FIRST} red:{SECOND} blue:{OTHER}")
    Tokens(given_specs).tenant_for(token, 0)
    assert compared == [spec.digest for spec in given_specs]


@given(st.sets(st.text("abcdef0123456789", min_size=16, max_size=20), min_size=1, max_size=30))
def test_of_many_tokens_each_is_found(texts: set[str]) -> None:
    tokens = Tokens([specs.token(f"tenant-{text}", text) for text in texts])
    for text in texts:
        assert tokens.tenant_for(text, 0) == f"tenant-{text}"


def test_no_repr_shows_a_digest() -> None:
    tokens = Tokens(specs.tokens(f"red:{FIRST}"))
    digest = specs.token("", FIRST).digest
    assert digest.hex() not in repr(tokens)
    assert repr(digest) not in repr(tokens)
