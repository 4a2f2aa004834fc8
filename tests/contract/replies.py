"""Judge any reply of the service by openapi.yaml: status, media type, body, headers, and a stream's grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema_rs
import orjson
import yaml

from service.contract import document
from service.contract.routes import NOT_SERVED

PREFIXES = ("/openai/v1", "/anthropic/v1", "/v1")
DONE = "[DONE]"


def assert_conforms(
    method: str,
    path: str,
    status: int,
    content_type: str | None,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    complete: bool = True,
) -> None:
    """Raise AssertionError where the reply is not what openapi.yaml says of `method` and `path` (raw, with any prefix).

    `headers` are judged where they are given; `complete` is False for a stream that the reader itself left early.
    """
    told = f"{method} {path} -> {status} {content_type or ''}"
    response = _response(method.lower(), path, status)
    assert response is not None, f"{told}: the contract knows no such answer"
    if headers is not None:
        _assert_headers(response, headers, told)
    documented = response.get("content", {})
    if method == "HEAD" or not documented:
        assert body == b"", f"{told}: has a body of {len(body)} bytes where none belongs"
        return
    media_type = (content_type or "").split(";")[0].strip().lower()
    assert media_type in documented, f"{told}: documented are {', '.join(documented)}"
    shape = documented[media_type]
    if media_type == "text/event-stream":
        assert_stream_conforms(body, complete=complete)
    elif media_type == "application/json":
        _assert_valid(orjson.loads(body), shape["schema"], told)
    elif media_type == "application/yaml":
        _assert_valid(yaml.load(body, Loader=yaml.CSafeLoader), shape["schema"], told)
    else:
        _assert_valid(body.decode(), shape["schema"], told)


def assert_stream_conforms(body: bytes, *, complete: bool = True) -> None:
    """Raise AssertionError where a chat stream breaks its schema or its grammar."""
    events = events_of(body)
    for event in events:
        _assert_valid(event, {"$ref": "#/components/schemas/ChatCompletionEvent"}, f"event {event!r}")
    data = [event["data"] for event in events]
    assert DONE not in data[:-1], "something follows [DONE]"
    chunks = [orjson.loads(item) for item in data if item != DONE]
    for chunk in chunks:
        name = "ErrorBody" if "error" in chunk else "ChatCompletionChunk"
        _assert_valid(chunk, {"$ref": f"#/components/schemas/{name}"}, f"chunk {chunk!r}")
    errors = [chunk for chunk in chunks if "error" in chunk]
    assert not errors[:-1], "several errors in one stream"
    assert not errors or data[-1] != DONE, "a failed stream ends with [DONE]"
    assert not errors or "error" in chunks[-1], "something follows the error"
    if complete:
        assert errors or data[-1:] == [DONE], "the stream ends with neither [DONE] nor an error"
    _assert_grammar([chunk for chunk in chunks if "error" not in chunk], whole=complete and not errors)


def events_of(body: bytes) -> list[dict[str, str]]:
    """The server-sent events of a stream, comments left out; an event that the stream cuts off is left out too."""
    found = []
    for block in re.split(rb"\r\n\r\n|\n\n|\r\r", body)[:-1]:
        event: dict[str, str] = {}
        for line in re.split("\r\n|\n|\r", block.decode()):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data" and "data" in event:
                event["data"] += "\n" + value
            elif name:
                event[name] = value
        if event:
            found.append(event)
    return found


def _assert_grammar(chunks: Sequence[Mapping[str, Any]], *, whole: bool) -> None:
    for member in ("id", "created", "model"):
        values = {chunk[member] for chunk in chunks}
        assert len(values) <= 1, f"{member} changes within one stream: {values}"
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    roles = [place for place, choice in enumerate(choices) if "role" in choice["delta"]]
    assert roles in ([], [0]), f"role stands in the deltas {roles}, not in the first alone"
    ends = [place for place, choice in enumerate(choices) if choice["finish_reason"] is not None]
    assert ends in ([], [len(choices) - 1]), f"finish_reason stands in the deltas {ends}, not in the last alone"
    for place, chunk in enumerate(chunks):
        if not chunk["choices"]:
            assert chunk.get("usage"), "a chunk with neither choices nor usage"
            assert place == len(chunks) - 1, "chunks follow the one with the usage"
    calls: dict[int, str] = {}
    for choice in choices:
        for call in choice["delta"].get("tool_calls") or ():
            first = call["index"] not in calls
            assert not first or call.get("id"), f"the first delta of call {call['index']} has no id"
            calls.setdefault(call["index"], call.get("id", ""))
            assert call.get("id", calls[call["index"]]) == calls[call["index"]], "a call's id changes"
    assert len(set(calls.values())) == len(calls), "two calls have one id"
    if whole:
        assert roles, "no delta tells the role"
        assert ends, "no finish_reason"


def _response(method: str, raw_path: str, status: int) -> Mapping[str, Any] | None:
    path = _bare_path(raw_path)
    item = _path_item(path)
    shared = _contract()["components"]["responses"]
    if item is None:
        known = any(method.upper() in methods and _matches(template, path) for methods, template in NOT_SERVED)
        return shared["NotServed" if known else "NotFound"] if status == (501 if known else 404) else _early(status)
    if method not in item:
        return shared["MethodNotAllowed"] if status == 405 else _early(status)
    response = item[method]["responses"].get(str(status))
    return _resolve(response) if response is not None else None


def _early(status: int) -> Mapping[str, Any] | None:
    """What may be answered before a path is looked at."""
    names = {408: "RequestTimeout", 431: "HeadersTooLarge", 503: "Full"}
    return _contract()["components"]["responses"].get(names.get(status))


def _bare_path(raw_path: str) -> str:
    path = re.sub("/{2,}", "/", urlsplit(raw_path).path if "?" in raw_path else raw_path)
    path = path.rstrip("/") or "/"
    for prefix in PREFIXES:
        if path == prefix or path.startswith(prefix + "/"):
            return path.removeprefix(prefix) or "/"
    return path


def _path_item(path: str) -> Mapping[str, Any] | None:
    paths: Mapping[str, Any] = _contract()["paths"]
    if path in paths:
        return paths[path]
    return paths["/models/{model}"] if unquote(path).startswith("/models/") else None


def _matches(template: str, path: str) -> bool:
    pattern = re.escape(template).replace(r"\{\+path\}", ".+")
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", pattern), path) is not None


def _assert_headers(response: Mapping[str, Any], headers: Mapping[str, str], told: str) -> None:
    given = {name.lower(): value for name, value in headers.items()}
    for name, reference in response.get("headers", {}).items():
        header = _resolve(reference)
        value = given.get(name.lower())
        assert value is not None or not header.get("required"), f"{told}: the header {name} is missing"
        if value is not None:
            number = header["schema"]["type"] in ("integer", "number")
            _assert_valid(orjson.loads(value) if number else value, header["schema"], f"{told}: {name}")


def _assert_valid(value: Any, schema: Mapping[str, Any], told: str) -> None:
    try:
        _validator(orjson.dumps(schema)).validate(value)
    except jsonschema_rs.ValidationError as error:
        raise AssertionError(f"{told}: {error.message} at {list(error.instance_path)}") from None


@cache
def _validator(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    rooted = {**orjson.loads(schema), "components": _contract()["components"]}
    return jsonschema_rs.Draft202012Validator(rooted)


def _resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    target: Any = _contract()
    for step in node["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return target


@cache
def _contract() -> Any:
    return orjson.loads(document.as_json())
