"""Every path of the contract is there under every prefix, `HEAD` beside `GET`, and what is not served says so."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlsplit

import orjson
import pytest

from service.contract.routes import NOT_SERVED, OPERATIONS, Operation
from tests.contract.replies import assert_conforms
from tests.running import TOKEN

PREFIXES = ("/v1", "", "/openai/v1", "/anthropic/v1")
READ = [operation.path for operation in OPERATIONS if operation.method == "GET"]
PROTECTED = [operation for operation in OPERATIONS if operation.security]


def _ask(base_url: str, method: str, path: str, token: str | None = TOKEN) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own, so that bytes behind a `HEAD` would be seen; judged by the contract."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=20)
    headers = {"Connection": "close", **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        connection.request(method, path, headers=headers)
        assert connection.sock is not None
        socket = connection.sock
        raw = b"".join(iter(lambda: socket.recv(65536), b""))
    finally:
        connection.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    status = int(status_line.split(" ")[1])
    assert_conforms(method, path, status, fields.get("content-type"), body, fields)
    return status, fields, body


def _filled(template: str) -> str:
    return re.sub(r"\{\+?\w+\}", "some", template)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("template", READ)
def test_what_can_be_read_is_there_under_every_prefix(template: str, prefix: str, running_gateway: str) -> None:
    path = prefix + template.replace("{model}", "Sandbox-Echo")
    status, fields, body = _ask(running_gateway, "GET", path)
    assert status == 200
    assert len(body) == int(fields["content-length"])
    head_status, head_fields, nothing = _ask(running_gateway, "HEAD", path)
    assert (head_status, nothing) == (200, b"")
    assert head_fields["content-type"] == fields["content-type"]
    assert head_fields["content-length"] == fields["content-length"]


@pytest.mark.parametrize("operation", PROTECTED, ids=lambda operation: operation.id)
def test_a_protected_operation_wants_a_token(operation: Operation, running_gateway: str) -> None:
    method, path = operation.method, _filled(operation.path)
    for token in (None, "wrong-token-of-nobody"):
        status, _, body = _ask(running_gateway, method, path, token)
        assert status == 401
        assert orjson.loads(body)["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_a_wrong_method_is_told_the_right_ones(operation: Operation, running_gateway: str) -> None:
    path = "/v1" + _filled(operation.path)
    known = {row.method for row in OPERATIONS if row.path == operation.path}
    known |= {"HEAD"} if "GET" in known else set()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"} - known:
        status, fields, _ = _ask(running_gateway, method, path)
        assert status == 405
        assert {name.strip() for name in fields["allow"].split(",")} - {"OPTIONS"} == known


@pytest.mark.parametrize(("methods", "template"), NOT_SERVED)
def test_a_known_path_that_is_not_served_says_so(methods: tuple[str, ...], template: str, running_gateway: str) -> None:
    for method in methods:
        assert _ask(running_gateway, method, "/v1" + _filled(template))[0] == 501
    assert _ask(running_gateway, "PATCH", "/v1" + _filled(template))[0] == 404


@pytest.mark.parametrize(
    "path", ["/v1/nowhere", "/nowhere", "/v2/models", "/v1/chat", "/openai/v1/healthy", "/v1/v1/models"]
)
def test_an_unknown_path_is_not_found(path: str, running_gateway: str) -> None:
    assert _ask(running_gateway, "GET", path)[0] == 404
