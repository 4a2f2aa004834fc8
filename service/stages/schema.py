"""JSON Schemas of callers: compiled without fetching anything, and never given more work than this process can spare.

A schema is a small program. References that branch make its work double with every step, a pattern may be long to
compile, and an explanation of why a value does not fit costs far more than the verdict. So work is reckoned before it
is done: the weight of a schema is the number of its nodes with every reference written out, and the work of a check
is that weight for each part of the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from service.errors import Refusal
from service.writing import as_json

PARAM = "response_format.json_schema.schema"
MAX_BYTES = 256 * 1024
MAX_PATTERNS = 64
MAX_PATTERN_BYTES = 2 * 1024 * 1024
"""Of a compiled pattern: `^.{1,1000}$` fits, and is compiled in 8 ms."""
MAX_STEPS_BACK = 2_000
"""Of one match of a pattern that looks around."""
MAX_LOOKING_WORK = 20_000
"""Patterns times size of the value, where patterns look around."""
MAX_WEIGHT = 20_000
MAX_WORK = 50_000_000
"""Weight times size of the value; about a second in the worst case."""
MAX_EXPLAINED_WORK = 20_000
"""The same for the heaviest choice (`anyOf`, `oneOf`) of the schema, all of which an explanation goes through."""
MAX_REASON = 400

MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})
"""Keywords that hold schemas under names of the caller's."""
SHELVES = frozenset({"$defs", "definitions"})
"""Where schemas lie that do nothing before they are referred to."""
DATA = frozenset({"const", "enum", "default", "examples", "required", "type"})
CHOICES = frozenset({"anyOf", "oneOf"})
REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
TOO_MUCH = "it is too much to be checked against this schema"
MISFIT = "it does not fit the schema"


class Schema:
    """A compiled schema. Raises the 400 for one that cannot be used."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        patterns = self._check_size(schema)
        weighing = _Weighing(schema)
        try:
            self._weight = weighing.weight(schema)
        except RecursionError:
            raise unusable("it is nested too deeply") from None
        if self._weight > MAX_WEIGHT:
            raise unusable("it is too complicated")
        self._recursive = weighing.recursive
        self._heaviest_choice = weighing.heaviest_choice
        self._validator, looks_around = _compiled(dict(schema))
        self._most_size = MAX_WORK // self._weight
        if looks_around:
            self._most_size = min(self._most_size, MAX_LOOKING_WORK // max(1, patterns))

    @staticmethod
    def _check_size(schema: Mapping[str, Any]) -> int:
        """How many patterns there are, unless that or anything else is too much."""
        if len(as_json(schema)) > MAX_BYTES:
            raise unusable(f"it is larger than {MAX_BYTES} bytes")
        patterns = sum(_patterns(schema))
        if patterns > MAX_PATTERNS:
            raise unusable(f"it has more than {MAX_PATTERNS} patterns")
        return patterns

    def reason_against(self, value: Any, size: int) -> str | None:
        """Why `value` does not fit, None if it does. `size` is about the number of its parts (`size_of`)."""
        if size > self._most_size:
            return TOO_MUCH
        if self._validator.is_valid(value):
            return None
        # The verdict is remembered for each part of a value, an explanation is not: it would double with every level.
        if self._recursive or self._heaviest_choice * size > MAX_EXPLAINED_WORK:
            return MISFIT
        try:
            self._validator.validate(value)
        except ValueError as error:
            problem: Any = error
            where = "/".join([str(step) for step in problem.instance_path])
            return f"at /{where}: {problem.message}"[:MAX_REASON]
        return MISFIT


def size_of(text: str) -> int:
    """About how many parts the JSON in `text` has; a long string counts for several."""
    return 1 + text.count(",") + text.count("[") + text.count("{") + len(text) // 16


def unusable(why: str) -> Refusal:
    """The 400 for a schema that cannot be used."""
    return Refusal(400, f"The schema cannot be used: {why}.", param=PARAM)


def _compiled(schema: dict[str, Any]) -> tuple[Any, bool]:
    """The validator, and whether it has patterns that look around, which take long where a caller means harm."""
    # Loaded when first asked for: most gateways never see a schema, and it is 10 MB.
    import jsonschema_rs

    def compiled(patterns: Any) -> Any:
        return jsonschema_rs.validator_for(
            schema, retriever=_no_fetching, validate_formats=False, pattern_options=patterns
        )

    limits = {"size_limit": MAX_PATTERN_BYTES, "dfa_size_limit": MAX_PATTERN_BYTES}
    try:
        return compiled(jsonschema_rs.RegexOptions(**limits)), False
    except (ValueError, jsonschema_rs.ReferencingError):
        pass
    try:
        return compiled(jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_STEPS_BACK, **limits)), True
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise unusable(str(getattr(error, "message", error)).rstrip(".")[:MAX_REASON]) from None


def _no_fetching(uri: str) -> Any:
    """Called for a `$ref` that points outside the schema, which must not make this machine open connections."""
    raise ValueError(f"the reference {uri[:200]} points outside the schema")


def _patterns(node: Any) -> Iterator[int]:
    """How many patterns stand in each part of a schema, referred to or not: all are compiled."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield isinstance(part.get("pattern"), str)
            named = part.get("patternProperties")
            yield len(named) if isinstance(named, Mapping) else 0
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


class _Weighing:
    """Adds up a schema with every reference written out once more for each place that it stands in."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.recursive = False
        self.heaviest_choice = 0
        self._root = root
        self._targets: dict[str, int] = {}
        self._open: set[str] = set()
        self._ids = {"$id", "id"} if "draft-04" in str(root.get("$schema")) else {"$id"}

    def weight(self, node: Any) -> int:
        if isinstance(node, list):
            return sum([self.weight(part) for part in node])
        if not isinstance(node, Mapping):
            return 1
        return 1 + sum([self._keyword(node, name, value) for name, value in node.items()])

    def _keyword(self, node: Mapping[str, Any], name: str, value: Any) -> int:
        if name in SHELVES and isinstance(value, Mapping):
            return 0
        if name in DATA:
            return len(value) if isinstance(value, (list, dict)) else 1
        if name in MAPS and isinstance(value, Mapping):
            return sum([1 + self.weight(part) for part in value.values()])
        if name in REFERENCES and isinstance(value, str):
            return self._target(value)
        if name in self._ids and isinstance(value, str) and node is not self._root:
            raise unusable(f"`{name}` may only stand at its top")
        weight = self.weight(value)
        if name in CHOICES:
            self.heaviest_choice = max(self.heaviest_choice, weight)
        return weight

    def _target(self, reference: str) -> int:
        """The weight of what a reference points to; one that leads back into itself counts once."""
        if reference in self._open:
            self.recursive = True
            return 1
        if reference not in self._targets:
            self._open.add(reference)
            self._targets[reference] = self.weight(self._pointed(reference))
            self._open.discard(reference)
        return self._targets[reference]

    def _pointed(self, reference: str) -> Any:
        if reference != "#" and not reference.startswith("#/"):
            raise unusable(f"the reference {reference[:200]} is none of `#` and `#/…`, the only ones that are followed")
        node: Any = self._root
        for step in reference.split("/")[1:]:
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(step)
            elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
                node = node[int(step)]
            else:
                return None  # the compiler has words for it
        return node
