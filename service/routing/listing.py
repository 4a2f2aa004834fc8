"""Poe's model list: an answer of `GET /v1/models`, read row by row and believed in nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import orjson

from service.routing.model import Model, Parameter
from service.routing.names import usable

MAX_LIST_BYTES = 16 * 1024 * 1024
MAX_MODELS = 5_000
MAX_OWNER_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 4_096
MAX_WORDS = 32
MAX_WORD_LENGTH = 64
MAX_PARAMETERS = 100
MAX_CHOICES = 1_000
MAX_COUNT = 10**12
SECONDS_END = 10**11
"""Above it a time is in milliseconds: in seconds it would be the year 5138."""

ENDPOINTS = {"chat/completions": "chat", "images/generations": "images"}
TEXT = frozenset({"text"})

T = TypeVar("T")


def rows(body: bytes) -> list[Any]:
    """The rows of the list, at most `MAX_MODELS` of them, unread. ValueError: it is no list of models."""
    if len(body) > MAX_LIST_BYTES:
        raise ValueError(f"the model list has {len(body)} bytes, more than {MAX_LIST_BYTES}")
    answer = orjson.loads(body)
    found = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not found:
        raise ValueError("the model list holds no models")
    return found[:MAX_MODELS]


def model_of(row: Any) -> Model | None:
    """The model in a row, or None if the row does not even name one."""
    if not isinstance(row, dict):
        return None
    metadata = _mapping(row.get("metadata"))
    id_ = _name(row.get("id")) or _name(row.get("root"))
    if id_ is None:
        return None
    architecture = _mapping(row.get("architecture"))
    outputs = _modalities(architecture, "output_modalities", -1)
    length, output_tokens = _limits(row) if "text" in outputs else (None, None)
    return Model(
        id=id_.lower(),
        name=_name(metadata.get("display_name")) or id_,
        created=_seconds(row.get("created")),
        owned_by=_text(row.get("owned_by"), MAX_OWNER_LENGTH),
        description=_text(row.get("description"), MAX_DESCRIPTION_LENGTH),
        input_modalities=_modalities(architecture, "input_modalities", 0),
        output_modalities=outputs,
        endpoints=frozenset(_each(_words(row.get("supported_endpoints")), _endpoint)),
        features=frozenset(_words(row.get("supported_features"))),
        context_length=length,
        max_output_tokens=output_tokens,
        parameters={found.name: found for found in _each(_list(row.get("parameters"))[:MAX_PARAMETERS], _parameter)},
    )


def _limits(row: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Context length and most output tokens, where the row states them in one of its two ways."""
    window = _mapping(row.get("context_window"))
    return _count(window.get("context_length")) or _count(row.get("context_length")), _count(
        window.get("max_output_tokens")
    )


def _modalities(architecture: Mapping[str, Any], member: str, side: int) -> frozenset[str]:
    """What goes in (`side` 0) or comes out (-1): the member, else that side of `text,image->text`, else text."""
    words = _words(architecture.get(member))
    if not words:
        arrow = _text(architecture.get("modality"), MAX_WORDS * MAX_WORD_LENGTH)
        words = _words([word.strip() for word in arrow.split("->")[side].split(",")])
    return frozenset(words) or TEXT


def _endpoint(path: str) -> str | None:
    word = path.removeprefix("/v1/").strip("/")
    return ENDPOINTS.get(word, word) or None


def _parameter(raw: Any) -> Parameter | None:
    declared = _mapping(raw)
    name = declared.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_WORD_LENGTH:
        return None
    schema = _schema(_mapping(declared.get("schema")))
    return Parameter(name, schema, _scalar(declared.get("default_value")), _text(declared.get("description"), 1_000))


def _schema(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The four keywords that Poe uses, each only if it can be relied on."""
    schema: dict[str, Any] = {}
    kind = raw.get("type")
    kinds = [word for word in (kind if isinstance(kind, list) else [kind]) if isinstance(word, str) and word != "null"]
    if kinds:
        schema["type"] = kinds[0][:MAX_WORD_LENGTH]
    choices = [choice for choice in _list(raw.get("enum"))[:MAX_CHOICES] if _scalar(choice) is not None]
    if choices:
        schema["enum"] = choices
    for bound in ("minimum", "maximum"):
        number = _number(raw.get(bound))
        if number is not None:
            schema[bound] = number
    return schema


def _seconds(created: Any) -> int:
    """Unix time in seconds of a time in seconds or milliseconds; 0 for anything else."""
    number = _number(created)
    if number is None or not 0 < number < 1000 * SECONDS_END:
        return 0
    return int(number if number < SECONDS_END else number / 1000)


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 1 <= number <= MAX_COUNT else None


def _number(value: Any) -> int | float | None:
    """A finite number, also where it came as a string; a whole one as an int."""
    if isinstance(value, str) and len(value) <= MAX_WORD_LENGTH:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _scalar(value: Any) -> str | int | float | bool | None:
    if isinstance(value, str):
        return value[:MAX_DESCRIPTION_LENGTH]
    return value if isinstance(value, bool | int | float) else None


def _name(value: Any) -> str | None:
    """A name that can stand in a URL, a header and a log line, else None."""
    name = value.strip() if isinstance(value, str) else ""
    return name if usable(name) else None


def _text(value: Any, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _words(value: Any) -> list[str]:
    words = [word for word in _list(value)[:MAX_WORDS] if isinstance(word, str) and 0 < len(word) <= MAX_WORD_LENGTH]
    return [word.lower() for word in words]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _each(values: Iterable[Any], read: Callable[[Any], T | None]) -> list[T]:
    return [found for found in map(read, values) if found is not None]
