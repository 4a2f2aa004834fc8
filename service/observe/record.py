"""The record of one request: filled in as it goes, and told exactly once when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.events import Usage
from service.waiting import Waiting

MAX_NOTICES = 16
MAX_DROPPED = 32


class Record:
    """What is known of one request so far.

    `waiting.seconds` is what was waited for Poe: not this process's overhead. `answer_model` is the name that the
    answer goes by, fixed at the commit point.

    Times are readings of the monotonic clock in seconds, `ended_time` alone is of the calendar's. `results` holds a
    key, a wire and a word for each attempt; `overhead_seconds` is the time in this process up to the head.
    `recovery` tells how it went with an answer that broke off before the caller's eyes and was asked for once more:
    `recovered`, `diverged` (the second one was another) or `failed`. `outcome` is `ok`, `cancelled` or an error's code.
    """

    __slots__ = (
        "answer_model",
        "attempts",
        "dialect",
        "dropped",
        "ended_at",
        "ended_time",
        "finish_reason",
        "first_event_at",
        "id",
        "key",
        "model",
        "notices",
        "on_end",
        "outcome",
        "overhead_seconds",
        "path",
        "poe_model",
        "recovery",
        "results",
        "series_model",
        "started_at",
        "status",
        "stream",
        "tenant",
        "usage",
        "waiting",
        "wire",
    )

    def __init__(self, request_id: str, dialect: str, path: str, on_end: Callable[[Record], None]) -> None:
        self.id = request_id
        self.dialect = dialect
        self.path = path
        self.on_end: Callable[[Record], None] | None = on_end
        self.started_at = time.perf_counter()
        self.first_event_at = 0.0
        self.overhead_seconds = -1.0
        self.waiting = Waiting()
        self.answer_model = ""
        self.status = 0
        self.outcome = ""
        self.tenant = ""
        self.model = ""
        self.series_model = "other"
        self.poe_model = ""
        self.wire = ""
        self.key = ""
        self.recovery = ""
        self.attempts = 0
        self.stream = False
        self.finish_reason = ""
        self.usage: Usage | None = None
        self.notices: list[str] = []
        self.dropped: list[str] = []
        self.results: list[tuple[str, str, str]] = []

    def notice(self, sentence: str) -> None:
        """Keep a sentence for `x-proxy-notice`, once."""
        if len(self.notices) < MAX_NOTICES and sentence not in self.notices:
            self.notices.append(sentence)

    def drop(self, member: str) -> None:
        """Keep the name of a request member that has no effect, once."""
        if len(self.dropped) < MAX_DROPPED and member not in self.dropped:
            self.dropped.append(member)

    def notice_text(self) -> str:
        """Everything that `x-proxy-notice` should say, empty where there is nothing to say."""
        if not self.dropped and not self.notices:
            return ""
        dropped = [f"dropped: {', '.join(self.dropped)}"] if self.dropped else []
        return "; ".join([*self.notices, *dropped])

    def end(self, outcome: str, status: int = 0) -> None:
        """Tell the observers; any call after the first does nothing, so that a request has one end."""
        on_end, self.on_end = self.on_end, None
        if on_end is None:
            return
        self.ended_at, self.ended_time = time.perf_counter(), time.time()
        self.outcome = outcome
        if status:
            self.status = status
        on_end(self)
