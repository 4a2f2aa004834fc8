"""Reads answers whole and says what is wrong with them: one wrong answer voids a run."""

from __future__ import annotations

from typing import Any

import orjson

from bench.cases import Case

REMEMBERED = 64
"""Streams found right are known by their bytes without the id: only the first of each second is parsed."""


class Wrong(Exception):
    """The answer is not the one that was asked for; the text says how."""


def check_whole(case: Case, model: str | None, body: bytes) -> None:
    """Raises Wrong unless `body` is the whole answer: text, role, finish, and the model's name unless None."""
    answer = _object(body)
    _expect("object", answer.get("object"), "chat.completion")
    _expect_model(answer, model)
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        raise Wrong(f"choices: {choices!r}")
    message = choices[0].get("message") or {}
    _expect("role", message.get("role"), "assistant")
    _expect("content", message.get("content"), case.text)
    _expect("finish_reason", choices[0].get("finish_reason"), "stop")


class StreamCheck:
    """Checks streams of one case: every event, their number, the text they add up to, the finish, and `[DONE]`."""

    def __init__(self, case: Case, model: str | None) -> None:
        self._case = case
        self._model = model
        self._known: set[bytes] = set()

    def check(self, payload: bytes) -> None:
        """Raises Wrong unless `payload` is the whole stream that was asked for."""
        key = _without_id(payload)
        if key in self._known:
            return
        text = "".join(self.contents(payload))
        if self._case.text is not None:
            _expect("content", text, self._case.text)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known.add(key)

    def contents(self, payload: bytes) -> list[str]:
        """The pieces of text, after everything else of the stream has been checked."""
        events = [data for block in _blocks(payload) if (data := _data(block)) is not None]
        if not events or events[-1] != b"[DONE]":
            raise Wrong("the stream does not end with [DONE]")
        chunks = [_object(event) for event in events[:-1]]
        choices = [self._choice(chunk) for chunk in chunks if chunk.get("choices")]
        deltas = [choice.get("delta") or {} for choice in choices]
        contents = [delta["content"] for delta in deltas if delta.get("content")]
        _expect("number of content events", len(contents), self._case.pieces)
        _expect("roles", [delta["role"] for delta in deltas if delta.get("role")][:1], ["assistant"])
        _expect("ids", len({chunk.get("id") for chunk in chunks}), 1)
        finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        _expect("finish reasons", finishes, ["stop"])
        if choices[-1].get("finish_reason") is None:
            raise Wrong("a chunk after the finish")
        return contents

    def _choice(self, chunk: dict[str, Any]) -> dict[str, Any]:
        _expect("object", chunk.get("object"), "chat.completion.chunk")
        _expect_model(chunk, self._model)
        choices = chunk["choices"]
        if len(choices) != 1 or choices[0].get("index") != 0:
            raise Wrong(f"choices: {choices!r}")
        choice: dict[str, Any] = choices[0]
        return choice


def stamps(contents: list[str]) -> list[int]:
    """The send times, in microseconds, of a paced stream's events; raises Wrong unless they count from 0 upwards."""
    sent = []
    for expected, content in enumerate(contents):
        number, _, stamp = content.removesuffix(";").partition(" ")
        if not content.endswith(";") or int(number) != expected:
            raise Wrong(f"event {expected} is {content!r}")
        sent.append(int(stamp))
    return sent


def _without_id(payload: bytes) -> bytes:
    start = payload.find(b'"id":')
    end = payload.find(b",", start)
    return payload.replace(payload[start:end], b"") if 0 <= start < end else payload


def _blocks(payload: bytes) -> list[bytes]:
    if b"\r" in payload:
        payload = payload.replace(b"\r\n", b"\n")
    if not payload.endswith(b"\n\n"):
        raise Wrong("the stream ends inside an event")
    return payload[:-2].split(b"\n\n")


def _data(block: bytes) -> bytes | None:
    """The data of an event, None for a comment."""
    if block.startswith(b"data:"):
        return block[5:].lstrip(b" ")
    if all(line.startswith(b":") for line in block.split(b"\n")):
        return None
    raise Wrong(f"an event that is no chunk: {block[:80]!r}")


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Wrong(f"not JSON: {data[:80]!r}") from error
    if not isinstance(value, dict):
        raise Wrong(f"not an object: {data[:80]!r}")
    return value


def _expect(what: str, found: object, wanted: object) -> None:
    if found == wanted:
        return
    left, right = str(found), str(wanted)
    same = next((at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), 0)
    around = slice(max(0, same - 20), same + 60)
    raise Wrong(f"{what}: {left[around]!r} instead of {right[around]!r} at {same}")


def _expect_model(members: dict[str, Any], model: str | None) -> None:
    if model is not None:
        _expect("model", members.get("model"), model)
