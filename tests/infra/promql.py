"""What a PromQL expression asks for, and what the service really measures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

from service.observe.metrics import Metrics
from service.observe.record import Record

OF_FLY = frozenset(["app", "region", "host", "instance"])
"""Labels that Fly's Prometheus puts on every series."""
CHILDREN = ("lhs", "rhs", "expr", "args", "vector_selector", "param")


def nodes(expression: str) -> Iterator[Any]:
    """Every node of the parsed expression; a ValueError where it cannot be parsed."""
    waiting = [promql_parser.parse(expression.replace("$__rate_interval", "5m"))]
    while waiting:
        node = waiting.pop()
        yield node
        for name in CHILDREN:
            inner = getattr(node, name, None)
            waiting += inner if isinstance(inner, list) else [inner] if inner is not None else []


def selectors(expression: str) -> list[Any]:
    """The series that the expression reads: each with `.name`, and its matchers."""
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


def matchers(selector: Any) -> dict[str, str]:
    """Label → value of a selector's matchers."""
    return {each.name: each.value for each in selector.matchers.matchers}


def groupings(expression: str) -> set[str]:
    """The labels that the expression groups by."""
    found = [node for node in nodes(expression) if isinstance(node, promql_parser.AggregateExpr)]
    return {label for node in found if node.modifier for label in node.modifier.labels}


@cache
def measured() -> dict[str, frozenset[str]]:
    """Series → label names, as an exposition of the service has them after one request."""
    metrics = Metrics()
    metrics.watch_keys(lambda: {"a": "usable"}, lambda: {"a": 1})
    record = Record("id", "chat", "/v1/chat/completions", lambda record: metrics.finished([record]))
    record.first_event_at, record.overhead_seconds = record.started_at + 1, 0.001
    record.results.append(("a", "chat", "ok"))
    record.drop("seed")
    record.end("ok", 200)
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {sample.name: frozenset(sample.labels) for family in families for sample in family.samples}


def faults(expression: str) -> list[str]:
    """What of the expression does not fit the service: unknown series, labels that these lack, no choice of an app."""
    found = selectors(expression)
    unknown = [each.name for each in found if each.name not in measured()]
    known = OF_FLY.union(*(measured().get(each.name, ()) for each in found))
    asked = {label for each in found for label in matchers(each)} | groupings(expression)
    return [
        *(f"no series {name}" for name in unknown),
        *(f"no label {label}" for label in sorted(asked - known)),
        *(f"{each.name} of every app" for each in found if "app" not in matchers(each)),
    ]
