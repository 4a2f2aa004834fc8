"""Samples a value from a JSON Schema, with words and numbers out of the prompt where they fit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 16
"""Nesting after which a recursive schema gets the smallest value that it allows."""

MAX_ITEMS = 50
MAX_VALUES = 2_000
"""Values in one sample: a schema that branches into itself would otherwise grow without end."""

_LONGEST_STRING = 200

_QUOTED = re.compile("\"([^\"\n]+)\"|'([^'\n]+)'|“([^”\n]+)”|‘([^’\n]+)’|「([^」\n]+)」|`([^`\n]+)`")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")

_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_BY_FORMAT = {
    "date": "2026-11-22",
    "time": "12:00:00Z",
    "date-time": "2026-11-22T12:00:00Z",
    "duration": "PT1H",
    "email": "echo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "regex": ".*",
}
# A pattern is not solved, only tried with these: enough for codes, numbers, slugs and dates.
_FOR_PATTERNS = (
    "a",
    "A",
    "1",
    "a1",
    "AB",
    "abc",
    "ABC",
    "123",
    "1234",
    "12345",
    "abc-123",
    "ABC-123",
    "2026-11-22",
    "1.0.0",
)


def sample(schema: Any, prompt: str) -> Any:
    """A value that fits `schema`: required members, first choices; deterministic.

    Strings take what the prompt quotes, in order, then the prompt itself; numbers take the prompt's numbers where the
    bounds allow them. `$ref` is followed inside the schema only.
    """
    return _Sampler(schema, prompt).value(schema, 0)


class _Sampler:
    def __init__(self, root: Any, prompt: str) -> None:
        self._root = root
        quoted = ["".join(groups).strip() for groups in _QUOTED.findall(prompt)]
        self._strings = [text for text in quoted if text] or [" ".join(prompt.split())[:_LONGEST_STRING] or "echo"]
        self._left = MAX_VALUES
        self._numbers = [float(number) for number in _NUMBER.findall(prompt)]

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if depth > 2 * MAX_DEPTH:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._chosen(schema["enum"])
        for union in ("anyOf", "oneOf"):
            if isinstance(schema.get(union), list) and schema[union]:
                rest = {key: value for key, value in schema.items() if key != union}
                return self.value(_merged(rest, self._resolved(self._option(schema[union], depth))), depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer":
                return self._number(schema, whole=True)
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema)

    def _spent(self, depth: int) -> bool:
        return depth >= 2 * MAX_DEPTH or self._left <= 0

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """The schema with its reference followed and `allOf` merged; `{}` for true and for what is no schema."""
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, Mapping):
                return {}
            if isinstance(schema.get("$ref"), str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                target = self._pointed(schema["$ref"])
                schema = _merged(target if isinstance(target, Mapping) else {}, rest)
            elif isinstance(schema.get("allOf"), list):
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    rest = _merged(rest, part if isinstance(part, Mapping) else {})
                schema = rest
            else:
                return dict(schema)
        return {}

    def _pointed(self, reference: str) -> Any:
        node = self._root
        if not reference.startswith("#"):
            return {}
        for step in reference[1:].strip("/").split("/") if reference != "#" else ():
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and step in node:
                node = node[step]
            elif isinstance(node, list) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            else:
                return {}
        return node

    def _option(self, options: list[Any], depth: int) -> Any:
        """The first option that is no null; deep down a null, so that recursion ends."""
        nulls = [option for option in options if self._resolved(option).get("type") == "null"]
        others = [option for option in options if option not in nulls]
        if nulls and (depth >= MAX_DEPTH // 2 or not others):
            return nulls[0]
        return others[0]

    def _chosen(self, choices: list[Any]) -> Any:
        """The first choice that the prompt names, else the first."""
        text = " ".join(self._strings).lower()
        named = (choice for choice in choices if isinstance(choice, str) and choice and choice.lower() in text)
        return next(named, choices[0])

    def _type(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        return "number" if _NUMERIC & schema.keys() else "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        declared = schema.get("properties")
        properties: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {}
        required = schema.get("required")
        if self._spent(depth):
            return {}
        # With nothing required a model still fills in what it is offered, as long as that ends.
        offered = [] if depth >= MAX_DEPTH else list(properties)
        names = required if isinstance(required, list) and required else offered
        return {name: self.value(properties.get(name, {}), depth + 1) for name in names if isinstance(name, str)}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        if self._spent(depth):
            return []
        prefix = schema.get("prefixItems")
        values = [self.value(one, depth + 1) for one in prefix] if isinstance(prefix, list) else []
        least, most = _whole(schema.get("minItems"), 0), _whole(schema.get("maxItems"), MAX_ITEMS)
        items = schema.get("items", {})
        usual = 0 if depth >= MAX_DEPTH // 2 or values else 1
        wanted = 0 if items is False else min(MAX_ITEMS, most, max(least, usual))
        while len(values) < wanted and not self._spent(depth):
            value = self.value(items, depth + 1)
            if schema.get("uniqueItems") and value in values:
                value = self._another(items, value, values)
                if value in values:
                    break
            values.append(value)
        return values

    def _another(self, items: Any, value: Any, taken: list[Any]) -> Any:
        choices = self._resolved(items).get("enum")
        if isinstance(choices, list):
            return next((choice for choice in choices if choice not in taken), value)
        if isinstance(value, str):
            return f"{value} {len(taken) + 1}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value + len(taken)
        return value

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        low, high = _bounds(schema, whole=whole)
        step = schema.get("multipleOf")
        fitting = [n for n in self._numbers if low <= n <= high and (not whole or n.is_integer())]
        number = fitting[0] if fitting else min(max(1.0, low), high)
        if self._numbers and fitting:
            # The next number asked for takes the next one of the prompt; the last one stays.
            self._numbers.remove(number)
            self._numbers.append(number)
        if isinstance(step, int | float) and step > 0:
            number = math.ceil(number / step) * step
            number = number if number <= high else math.floor(high / step) * step
        return int(number) if whole or float(number).is_integer() else number

    def _string(self, schema: Mapping[str, Any]) -> str:
        known = _BY_FORMAT.get(str(schema.get("format")))
        text = known if known is not None else self._next_string()
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            text = _fitting(pattern, text)
        least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), 10_000)
        return text.ljust(min(least, 10_000), ".")[:most]

    def _next_string(self) -> str:
        return self._strings.pop(0) if len(self._strings) > 1 else self._strings[0]


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas at once: members of the right one win, properties and required are joined."""
    merged = {**left, **right}
    if isinstance(left.get("properties"), Mapping) and isinstance(right.get("properties"), Mapping):
        merged["properties"] = {**left["properties"], **right["properties"]}
    if isinstance(left.get("required"), list) and isinstance(right.get("required"), list):
        merged["required"] = list(dict.fromkeys([*left["required"], *right["required"]]))
    return merged


def _bounds(schema: Mapping[str, Any], *, whole: bool) -> tuple[float, float]:
    low, high = _real(schema.get("minimum"), -math.inf), _real(schema.get("maximum"), math.inf)
    step = 1.0 if whole else 0.5
    low = max(low, _real(schema.get("exclusiveMinimum"), -math.inf) + step)
    high = min(high, _real(schema.get("exclusiveMaximum"), math.inf) - step)
    return (math.ceil(low) if whole and math.isfinite(low) else low), high


def _fitting(pattern: str, text: str) -> str:
    try:
        expression = re.compile(pattern)
    except re.error:
        return text
    return next((candidate for candidate in (text, *_FOR_PATTERNS) if expression.search(candidate)), text)


def _real(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default
