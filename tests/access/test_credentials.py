"""A token is found in each of five places, and the first that holds one counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.credentials import token_from

TOKEN = b"tok-7f3a9c2e5b8d1046"
Headers = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer " + TOKEN)], b""),
        ([(b"authorization", b"bEARER   " + TOKEN + b" ")], b""),
        ([(b"x-api-key", TOKEN)], b""),
        ([(b"api-key", b" " + TOKEN)], b""),
        ([(b"x-goog-api-key", TOKEN)], b""),
        ([], b"key=" + TOKEN),
        ([], b"alt=sse&key=" + TOKEN + b"&x=1"),
        ([], b"key=tok%2D7f3a9c2e5b8d1046"),
        ([], b"key=&key=" + TOKEN),
    ],
)
def test_each_of_the_five_forms_holds_a_token(headers: Headers, query: bytes) -> None:
    assert token_from(headers, query) == TOKEN


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b""),
        ([(b"authorization", b"Bearer")], b""),
        ([(b"authorization", b"Bearer  ")], b""),
        ([(b"authorization", TOKEN)], b""),
        ([(b"authorization", b"Basic " + TOKEN)], b""),
        ([(b"authorization", b"Bearer" + TOKEN)], b""),
        ([(b"x-api-key", b" ")], b"key="),
        ([(b"cookie", TOKEN), (b"x-api-keys", TOKEN)], b"apikey=" + TOKEN + b"&Key=" + TOKEN),
    ],
)
def test_nothing_else_does(headers: Headers, query: bytes) -> None:
    assert token_from(headers, query) is None


FORMS: Headers = [
    (b"authorization", b"Bearer 0"),
    (b"x-api-key", b"1"),
    (b"api-key", b"2"),
    (b"x-goog-api-key", b"3"),
]


@given(st.permutations(FORMS), st.sets(st.integers(0, 3)))
def test_the_first_form_that_is_not_empty_counts_in_any_order_of_headers(order: Headers, empty: set[int]) -> None:
    values = {name: b"Bearer " if place == 0 else b"" for place, (name, _) in enumerate(FORMS) if place in empty}
    headers = [(name, values.get(name, value)) for name, value in order]
    left = [place for place in range(4) if place not in empty]
    assert token_from(headers, b"key=4") == str(left[0] if left else 4).encode()


def test_a_plus_in_the_query_stays_a_plus() -> None:
    assert token_from([], b"key=a+b%2Bc") == b"a+b+c"


@given(st.lists(st.tuples(st.sampled_from([name for name, _ in FORMS]), st.binary())), st.binary())
def test_any_bytes_give_a_token_or_none(headers: Headers, query: bytes) -> None:
    token = token_from(headers, query)
    assert token is None or token
