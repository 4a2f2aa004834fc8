"""A caller's value for a parameter that a model declares: made to fit its schema, or refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from service.errors import Refusal
from service.routing.model import Parameter

MAX_TEXT_LENGTH = 20_000
MAX_JSON_BYTES = 16 * 1024
MAX_CHOICES_TOLD = 20
MAX_INTEGER = 2**53
"""Above it a JSON number no longer says which integer it is."""

YES = frozenset({"true", "1", "yes", "on"})
NO = frozenset({"false", "0", "no", "off"})


def coerce(parameter: Parameter, value: Any) -> Any:
    """The value as the schema wants it: `"4"` for `4` where it lists texts, `8000` for `"8000"` where it wants numbers.

    Refusal 400 with `param` where no reading of the value fits.
    """
    schema = parameter.schema
    if "enum" in schema:
        return _choice(parameter.name, value, schema["enum"])
    match schema.get("type"):
        case "boolean":
            return _boolean(parameter.name, value)
        case "number" | "integer" as kind:
            return _number(parameter.name, value, schema, whole=kind == "integer")
        case "string":
            return _text(parameter.name, value)
        case _:
            return small(parameter.name, value)


def small(name: str, value: Any) -> Any:
    """Any JSON value of at most 16 KiB, unread. Refusal 400 above."""
    try:
        size = len(orjson.dumps(value))
    except (orjson.JSONEncodeError, RecursionError):
        raise _refusal(name, "is no JSON value that can be passed on") from None
    if size > MAX_JSON_BYTES:
        raise _refusal(name, f"has {size} bytes; the most is {MAX_JSON_BYTES}")
    return value


def finite_number(value: Any) -> int | float | None:
    """A number, also where it came as text; None for anything else, NaN and infinities among them."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_INTEGER or value != value:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def words_of(value: Any) -> str | None:
    """How a scalar reads as text, the same for `4`, `4.0` and `"4"`; None for what is no scalar."""
    if isinstance(value, str):
        return value.strip().lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    number = finite_number(value)
    return None if number is None else str(number)


def _choice(name: str, value: Any, choices: list[Any]) -> Any:
    asked = words_of(value)
    if asked is not None:
        for choice in choices:
            if words_of(choice) == asked:
                return choice
    told = ", ".join([str(choice)[:40] for choice in choices[:MAX_CHOICES_TOLD]])
    more = ", …" if len(choices) > MAX_CHOICES_TOLD else ""
    raise _refusal(name, f"must be one of: {told}{more}")


def _boolean(name: str, value: Any) -> bool:
    word = words_of(value)
    if word in YES:
        return True
    if word in NO:
        return False
    raise _refusal(name, "must be true or false")


def _number(name: str, value: Any, schema: Mapping[str, Any], *, whole: bool) -> int | float:
    number = finite_number(value)
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if number is None or (whole and isinstance(number, float)) or not low <= number <= high:
        kind = "a whole number" if whole else "a number"
        bounds = f" from {low} to {high}" if "minimum" in schema and "maximum" in schema else _one_bound(schema)
        raise _refusal(name, f"must be {kind}{bounds}")
    return number


def _one_bound(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema:
        return f" of at least {schema['minimum']}"
    return f" of at most {schema['maximum']}" if "maximum" in schema else ""


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        if len(value) > MAX_TEXT_LENGTH:
            raise _refusal(name, f"has {len(value)} characters; the most is {MAX_TEXT_LENGTH}")
        return value
    word = words_of(value)
    if word is None:
        raise _refusal(name, "must be a text")
    return word


def _refusal(name: str, fault: str) -> Refusal:
    return Refusal(400, f"`{name}` {fault}.", param=name)
