"""From the path as it was sent to an operation of the contract: prefixes, slashes, and what is known but not served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from service.contract.routes import NOT_SERVED, OPERATIONS, Operation
from service.errors import Refusal

PREFIXES = ("/openai/v1", "/anthropic/v1", "/v1")
SLASHES = re.compile(r"/{2,}")


PLAIN: Mapping[bytes, str] = {
    f"{prefix}{operation.path}".encode(): operation.path for prefix in ("", *PREFIXES) for operation in OPERATIONS
}
"""Paths as nearly everybody writes them."""


def without_prefix(sent: bytes) -> str:
    """The path that the contract knows: its prefix gone, doubled slashes single, no slash at the end."""
    plain = PLAIN.get(sent)
    if plain is not None:
        return plain
    raw_path = sent.decode("latin-1")
    path = SLASHES.sub("/", raw_path) if "//" in raw_path else raw_path
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    for prefix in PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return path[len(prefix) :] or "/"
    return path


def _pattern(template: str) -> re.Pattern[str]:
    quoted = re.escape(template)
    quoted = re.sub(r"\\\{\\\+(\w+)\\\}", ".+", quoted)
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", quoted))


class Paths:
    """Which operation a method and a path mean; `resolve` raises the 404, 405 or 501 where they mean none."""

    def __init__(
        self,
        operations: Iterable[Operation] = OPERATIONS,
        not_served: Sequence[tuple[tuple[str, ...], str]] = NOT_SERVED,
    ) -> None:
        self._literal: dict[str, dict[str, Operation]] = {}
        self._templates: dict[str, tuple[re.Pattern[str], dict[str, Operation]]] = {}
        for operation in operations:
            if "{" in operation.path:
                by_method = self._templates.setdefault(operation.path, (_pattern(operation.path), {}))[1]
            else:
                by_method = self._literal.setdefault(operation.path, {})
            by_method[operation.method] = operation
            if operation.method == "GET":
                by_method["HEAD"] = operation
        self._not_served = tuple([(methods, _pattern(template)) for methods, template in not_served])

    def resolve(self, method: str, path: str) -> Operation:
        """The operation of a path without prefix."""
        by_method = self._literal.get(path) or self._by_template(path)
        if by_method is None:
            raise self._unknown(method, path)
        operation = by_method.get(method)
        if operation is None:
            raise _wrong_method(by_method)
        return operation

    def methods(self, path: str) -> str:
        """The methods that a path takes, as an `Allow` header writes them; empty for an unknown path."""
        by_method = self._literal.get(path) or self._by_template(path) or {}
        return ", ".join(sorted(by_method))

    def _by_template(self, path: str) -> Mapping[str, Operation] | None:
        for pattern, by_method in self._templates.values():
            if pattern.fullmatch(path):
                return by_method
        return None

    def _unknown(self, method: str, path: str) -> Refusal:
        if any(method in methods and pattern.fullmatch(path) for methods, pattern in self._not_served):
            return Refusal(501, "This path is known, but this service does not serve it.", code="not_implemented")
        return Refusal(404, "There is nothing at this path.", code="not_found")


def _wrong_method(by_method: Mapping[str, Operation]) -> Refusal:
    allowed = ", ".join(sorted(by_method))
    return Refusal(405, f"This path takes {allowed} only.", code="method_not_allowed", headers=(("allow", allowed),))


def is_anthropic(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether an error at a path without prefix is told in Anthropic's shape."""
    if path == "/messages" or path.startswith("/messages/"):
        return True
    return b"anthropic-version" in headers and (path == "/models" or path.startswith("/models/"))
