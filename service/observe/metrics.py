"""The metrics, by the names that dashboards and alerts rely on (interface: metrics)."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.registry import Collector

from service.contract.models import ChatCompletionRequest
from service.observe.record import Record

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
OVERHEAD_SECONDS = (0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
MEMBERS = frozenset(ChatCompletionRequest.model_fields)
"""Request members that have a series of their own: a caller's inventions share one."""
MAX_SERIES = 4_096
"""Label sets of one metric that are kept; label values are bounded already, so this is the second fence."""


class Children:
    """The label sets of one metric, found again by a plain dictionary (the library's own look-up is slower)."""

    def __init__(self, metric: Counter | Histogram) -> None:
        self._metric = metric
        self._known: dict[tuple[str, ...], Any] = {}

    def __getitem__(self, labels: tuple[str, ...]) -> Any:
        child = self._known.get(labels)
        if child is None:
            if len(self._known) >= MAX_SERIES:
                labels = ("other",) * len(labels)
            child = self._known[labels] = self._metric.labels(*labels)
        return child


class Metrics:
    """Every series of this process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Children(self._counter("requests", "Requests ended", ("dialect", "wire", "model", "outcome")))
        self._seconds = Histogram(
            "poe_proxy_request_seconds", "From the request to its end", buckets=SECONDS, registry=self.registry
        )
        self._first_event = Children(
            Histogram(
                "poe_proxy_first_event_seconds",
                "From the request to the first visible event",
                ("model", "wire"),
                buckets=SECONDS,
                registry=self.registry,
            )
        )
        self._overhead = Histogram(
            "poe_proxy_overhead_seconds",
            "Time in this process up to the head, without waiting for Poe",
            buckets=OVERHEAD_SECONDS,
            registry=self.registry,
        )
        self._open = Gauge("poe_proxy_open_streams", "Requests being answered now", registry=self.registry)
        self._attempts = Children(
            self._counter("upstream_attempts", "Calls of Poe by result", ("key", "wire", "result"))
        )
        self._dropped = Children(
            self._counter("dropped_parameters", "Request members that had no effect", ("model", "parameter"))
        )
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"poe_proxy_{name}", meaning, labels, registry=self.registry)

    def watch_open(self, count: Callable[[], int]) -> None:
        """Show how many requests are being answered, counted when somebody asks."""
        self._open.set_function(count)

    def finished(self, records: Sequence[Record]) -> None:
        """Count ended requests of a dialect. Requests are alike: each label set is counted up once for all of them."""
        requests = Tally((record.dialect, record.wire, record.series_model, record.outcome) for record in records)
        for labels, count in requests.items():
            self._requests[labels].inc(count)
        for attempt, count in Tally(attempt for record in records for attempt in record.results).items():
            self._attempts[attempt].inc(count)
        for record in records:
            self._seconds.observe(record.ended_at - record.started_at)
            if record.first_event_at:
                self._first_event[record.series_model, record.wire].observe(record.first_event_at - record.started_at)
            if record.overhead_seconds >= 0:
                self._overhead.observe(record.overhead_seconds)
            for member in record.dropped:
                self._dropped[record.series_model, member if member in MEMBERS else "other"].inc()

    def watch_keys(self, states: Callable[[], Mapping[str, str]], points: Callable[[], Mapping[str, int]]) -> None:
        """Show the keys' states and last balances, read when somebody asks."""
        self.registry.register(KeyCollector(states, points))

    def exposition(self) -> bytes:
        """All series in Prometheus' text format."""
        text: bytes = generate_latest(self.registry)
        return text


class KeyCollector(Collector):
    """The keys' states and balances: names only, never a value."""

    def __init__(self, states: Callable[[], Mapping[str, str]], points: Callable[[], Mapping[str, int]]) -> None:
        self._states = states
        self._points = points

    def collect(self) -> Iterable[Metric]:
        """One series for each key and the state that it is in."""
        state = GaugeMetricFamily("poe_proxy_key_state", "1 for the state a key is in", labels=("key", "state"))
        for key, word in self._states().items():
            state.add_metric((key, word), 1)
        points = GaugeMetricFamily("poe_proxy_key_points", "The last balance seen", labels=("key",))
        for key, balance in self._points().items():
            points.add_metric((key,), balance)
        return (state, points)
