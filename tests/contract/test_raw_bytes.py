"""Bytes that no JSON library would send get a clear 400, or the answer that JSON itself says they deserve."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.contract.replies import assert_conforms
from tests.running import TOKEN

PATH = "/v1/chat/completions"
BODY = b'{"model": "Sandbox-Tools", "messages": [{"role": "user", "content": "Hello"}]%s}'


def _with(member: bytes) -> bytes:
    return BODY % (b", " + member)


def _saying(content: bytes) -> bytes:
    return BODY.replace(b'"Hello"', content) % b""


REFUSED = {
    "no body": b"",
    "blanks only": b" \n\t",
    "cut": (BODY % b"")[:-2],
    "trailing junk": BODY % b"" + b"x",
    "two objects": BODY % b"" * 2,
    "single quotes": (BODY % b"").replace(b'"', b"'"),
    "trailing comma": BODY % b",",
    "a comment": _with(b"/* note */"),
    "lone surrogate in a text": _saying(rb'"\ud800"'),
    "lone low surrogate in a text": _saying(rb'"\udc00 x"'),
    "lone surrogate in an ignored member": _with(rb'"metadata": {"a": "\ud83d"}'),
    "lone surrogate in an unknown member": _with(rb'"foo": "\ud800"'),
    "lone surrogate in a name": _with(rb'"\ud800": 1'),
    "NaN": _with(b'"temperature": NaN'),
    "NaN in an unknown member": _with(b'"foo": NaN'),
    "NaN in an ignored member": _with(b'"metadata": {"a": [NaN]}'),
    "Infinity": _with(b'"top_p": Infinity'),
    "Infinity in an unknown member": _with(b'"foo": Infinity'),
    "-Infinity in an unknown member": _with(b'"foo": -Infinity'),
    "1e400 where a number is bounded": _with(b'"temperature": 1e400'),
    "5,000 digits where an integer is bounded": _with(b'"max_tokens": ' + b"1" * 5_000),
    "5,000 digits in an unknown member": _with(b'"foo": ' + b"1" * 5_000),
    "depth 100,000": _with(b'"foo": ' + b"[" * 100_000 + b"]" * 100_000),
    "depth 100,000 of objects": _with(b'"foo": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "depth 100,000 that never closes": b"[" * 100_000,
    "a BOM": b"\xef\xbb\xbf" + BODY % b"",
    "UTF-16": (BODY % b"").decode().encode("utf-16"),
    "UTF-16 without a BOM": (BODY % b"").decode().encode("utf-16-le"),
    "UTF-32": (BODY % b"").decode().encode("utf-32"),
    "bad UTF-8 in a text": _saying(b'"\xff"'),
    "overlong UTF-8": _saying(b'"\xc0\xaf"'),
    "a surrogate as UTF-8": _saying(b'"\xed\xa0\x80"'),
    "bad UTF-8 in an unknown member": _with(b'"foo": "\xc3("'),
    "a raw control character in a text": _saying(b'"\x01"'),
    "a raw newline in a text": _saying(b'"a\nb"'),
    "a leading zero": _with(b'"max_tokens": 010'),
    "a plus sign": _with(b'"max_tokens": +1'),
    "hexadecimal": _with(b'"max_tokens": 0x10'),
    "a bare dot": _with(b'"temperature": .5'),
    "a string": b'"hello"',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "form data": b"model=x&messages=y",
    "NUL in a tool's name": _with(
        rb'"tools": [{"type": "function", "function": {"name": "a\u0000b", "parameters": {"type": "object"}}}]'
    ),
    "duplicate keys, the last wrong": _with(b'"messages": []'),
}

ANSWERED = {
    "plain": BODY % b"",
    "blanks around": b" \r\n\t" + BODY % b"" + b"\n",
    "duplicate keys, the last wins": (BODY % b"").replace(b'{"model"', b'{"model": 7, "model"', 1),
    "duplicate unknown keys": _with(b'"foo": 1, "foo": 2'),
    "NUL in a text": _saying(rb'"a\u0000b"'),
    "NUL in an unknown member": _with(rb'"a\u0000b": "\u0000"'),
    "a paired surrogate": _saying(rb'"\ud83d\ude00"'),
    "escaped slashes": _saying(rb'"a\/b"'),
    "the highest code point": _saying('"\U0010ffff"'.encode()),
    "a noncharacter": _saying(rb'"\uffff\ufdd0"'),
    "line separators": _saying('"a\u2028b\u2029c\u0085d"'.encode()),
    "1e400 in an unknown member": _with(b'"foo": 1e400'),
    "thirty digits in an unknown member": _with(b'"foo": ' + b"1" * 30),
    "thirty digits in an ignored member": _with(b'"metadata": {"a": ' + b"9" * 30 + b"}"),
    "minus zero": _with(b'"temperature": -0.0'),
    "a whole float": _with(b'"max_tokens": 100.0'),
    "an exponent that is whole": _with(b'"max_tokens": 1e2'),
    "depth 100": _with(b'"foo": ' + b"[" * 100 + b"]" * 100),
    "an empty name": _with(b'"": 1'),
    "a long name": _with(b'"' + b"a" * 100_000 + b'": 1'),
    "thirty digits in a tool's schema": _with(
        b'"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "maxProperties": '
        + b"9" * 30
        + b"}}}]"
    ),
    "thirty digits in a grammar": _with(
        b'"tools": [{"type": "custom", "name": "f", "format": {"a": ' + b"9" * 30 + b"}}]"
    ),
}


def _ask(base_url: str, body: bytes, content_type: str | None = "application/json") -> tuple[int, bytes]:
    """POST the bytes over a real socket; every answer is judged by the contract."""
    headers = {"Authorization": f"Bearer {TOKEN}", **({"Content-Type": content_type} if content_type else {})}
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    try:
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    assert_conforms(
        "POST", PATH, response.status, response.getheader("content-type"), answer, dict(response.getheaders())
    )
    return response.status, answer


@pytest.mark.parametrize("name", REFUSED)
def test_bytes_that_are_no_request_are_refused(name: str, running_gateway: str) -> None:
    status, answer = _ask(running_gateway, REFUSED[name])
    assert status == 400
    error = json.loads(answer)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", None)
    assert len(error["message"]) <= 500


@pytest.mark.parametrize("name", ANSWERED)
def test_odd_but_right_json_is_answered(name: str, running_gateway: str) -> None:
    status, answer = _ask(running_gateway, ANSWERED[name])
    assert status == 200, answer


def test_the_server_lives_on_after_all_of_it(running_gateway: str) -> None:
    for body in (*REFUSED.values(), *ANSWERED.values()):
        _ask(running_gateway, body)
    assert _ask(running_gateway, BODY % b"")[0] == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;"],
)
def test_json_and_no_label_at_all_are_taken(content_type: str | None, running_gateway: str) -> None:
    assert _ask(running_gateway, BODY % b"", content_type)[0] == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
def test_other_labels_are_refused(content_type: str, running_gateway: str) -> None:
    assert _ask(running_gateway, BODY % b"", content_type)[0] == 415
