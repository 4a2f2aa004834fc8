"""The log: one line for each request, and the rare line about the service itself. Never a body, never a secret."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson

if TYPE_CHECKING:
    from service.observe.record import Record

Level = Literal["debug", "info", "warning", "error"]
LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MAX_VALUE = 256
"""Characters of a caller's own words (a model name, a path) that a line may hold."""


class Sink(Protocol):
    """Where lines go: a binary stream."""

    def write(self, data: bytes, /) -> Any:
        """Take one whole line."""

    def flush(self) -> Any:
        """Hand it on."""


class Log:
    """Writes lines of JSON, or of words for a terminal."""

    def __init__(self, level: str = "info", line_format: str = "json", sink: Sink | None = None) -> None:
        self._threshold = LEVELS[level]
        self._render = _as_json if line_format == "json" else _as_text
        self._sink = sink if sink is not None else sys.stdout.buffer

    def event(self, level: Level, message: str, **members: Any) -> None:
        """Write a line about the service itself."""
        if LEVELS[level] >= self._threshold:
            self._write({"time": time.time(), "level": level, "message": message, **members})
            self.flush()

    def request(self, record: Record) -> None:
        """Write the line of a finished request: at `debug` for the probes of health checkers, else at `info`."""
        if (10 if record.dialect == "probe" else 20) < self._threshold:
            return
        seconds = record.ended_at - record.started_at
        usage = record.usage
        line: dict[str, Any] = {
            "time": record.ended_time,
            "level": "info",
            "message": "request",
            "id": record.id,
            "tenant": record.tenant,
            "path": record.path[:MAX_VALUE],
            "model": record.model[:MAX_VALUE],
            "poe_model": record.poe_model[:MAX_VALUE],
            "wire": record.wire,
            "key": record.key,
            "attempts": record.attempts,
            "stream": record.stream,
            "status": record.status,
            "outcome": record.outcome,
            "finish_reason": record.finish_reason,
            "seconds": round(seconds, 6),
            "overhead_seconds": round(seconds - record.waiting.seconds, 6),
        }
        if record.first_event_at:
            line["first_event_seconds"] = round(record.first_event_at - record.started_at, 6)
        if usage is not None:
            line["prompt_tokens"] = usage.prompt_tokens
            line["completion_tokens"] = usage.completion_tokens
            line["tokens_estimated"] = usage.estimated
        if record.recovery:
            line["recovery"] = record.recovery
        if record.dropped:
            line["dropped"] = record.dropped
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        self._sink.write(self._render(line))

    def flush(self) -> None:
        """Hand on what is held: the lines of requests are handed on in groups."""
        self._sink.flush()


def _as_json(line: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate out of a percent-encoded path
        safe = {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in line.items()}
        return orjson.dumps(safe, default=repr, option=orjson.OPT_APPEND_NEWLINE)


def _as_text(line: dict[str, Any]) -> bytes:
    when = datetime.fromtimestamp(line["time"], UTC).strftime("%H:%M:%S.%f")[:-3]
    rest = [f"{k}={_word(v)}" for k, v in line.items() if k not in ("time", "level", "message") and v not in ("", None)]
    text = " ".join([when, line["level"], _word(line["message"]), *rest])
    return text.encode("utf-8", "replace") + b"\n"


def _word(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() else ascii(text)
