"""The sixteen faults as data, and one more: callers who leave. Times are the published ones, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.failover import rules
from bench.failover.play import RIGHT, Play, Refused
from bench.failover.profile import Profile
from bench.failover.rules import Rule

OK = "failover-ok"
OK_NO_PREFILL = "failover-ok-no-prefill"
LEAVERS = 8

LIMITED = Refused(429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests.")
LIMITED_FOR_2 = Refused(429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached.", retry_after="2")
BROKEN = Refused(500, "server_error", None, "Internal server error")
OVERLOADED = Refused(503, "overloaded_error", None, "The model is overloaded.")
TOO_LONG = Refused(
    400,
    "invalid_request_error",
    "context_length_exceeded",
    "This model's maximum context length is 16 tokens.",
    error_type="user_message_too_long",
)
AGAINST_POLICY = Refused(
    400,
    "invalid_request_error",
    "content_policy_violation",
    "Your request was rejected: it violates the content policy.",
    error_type="user_caused_error",
)

Acting = Callable[[int, float, Profile], Play]
"""What the primary does with its call of that number, so many seconds after the first."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the primary model. `hang`: where the answer has not ended by then, it never does.

    `ideal` is what a pass needs. `course`: one request, twenty in a row (S15), or eight that leave and one that stays.
    """

    id: str
    title: str
    act: Acting = field(repr=False)
    rules: tuple[Rule, ...]
    hang: float
    fallback: str = OK
    ideal: Literal["answer", "error"] = "answer"
    course: Literal["once", "sequence", "leaving"] = "once"

    @property
    def model(self) -> str:
        """The primary's name."""
        return f"failover-{self.id.lower()}"


def _always(play: Play) -> Acting:
    return lambda number, seconds, profile: play


def _once(play: Play) -> Acting:
    return lambda number, seconds, profile: play if number == 1 else RIGHT


def _silent(number: int, seconds: float, profile: Profile) -> Play:
    return Play(silent_seconds=profile.seconds(120))


def _slow(number: int, seconds: float, profile: Profile) -> Play:
    return Play(first_word_seconds=profile.seconds(20))


def _stalls(number: int, seconds: float, profile: Profile) -> Play:
    return Play(cut_after=20, stall_seconds=profile.seconds(30))


def _flaps(number: int, seconds: float, profile: Profile) -> Play:
    return Play(refused=OVERLOADED) if seconds < profile.outage_seconds else RIGHT


def _slow_at_first(number: int, seconds: float, profile: Profile) -> Play:
    return _slow(number, seconds, profile) if number <= LEAVERS else RIGHT


FEW_IN_ALL = rules.tries(6)
AFTERWARDS = rules.HEALTHY_ADVISED

SIXTEEN: tuple[Fault, ...] = (
    Fault(
        "S01",
        "429 with `Retry-After: 2` once, then healthy",
        _once(Play(refused=LIMITED_FOR_2)),
        (rules.tries(2, within=1.5), rules.ASKED_AGAIN, rules.not_before(1.8), AFTERWARDS),
        hang=20,
    ),
    Fault(
        "S02",
        "429 for ever, no `Retry-After`",
        _always(Play(refused=LIMITED)),
        (rules.tries(4, within=3), FEW_IN_ALL, AFTERWARDS),
        hang=40,
    ),
    Fault(
        "S03",
        "500 once, then healthy",
        _once(Play(refused=BROKEN)),
        (rules.ASKED_AGAIN, AFTERWARDS),
        hang=20,
    ),
    Fault("S04", "503 for ever", _always(Play(refused=OVERLOADED)), (FEW_IN_ALL, AFTERWARDS), hang=40),
    Fault("S05", "connection reset before any byte, once", _once(Play(reset=True)), (AFTERWARDS,), hang=20),
    Fault(
        "S06",
        "accepts and never answers",
        _silent,
        (rules.done_within(100), rules.asked_once(advisory=True), AFTERWARDS),
        hang=130,
    ),
    Fault(
        "S07",
        "head at once, first word after 20 s",
        _slow,
        (rules.done_within(15, advisory=True), AFTERWARDS),
        hang=60,
    ),
    Fault("S08", "stream dies after 40 of 60 words", _always(Play(cut_after=40)), (AFTERWARDS,), hang=40),
    Fault(
        "S09",
        "silent for 30 s after 20 words, then closes",
        _stalls,
        (rules.done_within(45), rules.HEALTHY),
        hang=70,
    ),
    Fault(
        "S10",
        "the tenth event is broken JSON",
        _always(Play(broken_event=10)),
        (rules.HEALTHY, rules.WHOLE),
        hang=30,
    ),
    Fault(
        "S11",
        "complete, without its last event",
        _always(Play(marked=False)),
        (rules.done_within(8), rules.USAGE, AFTERWARDS),
        hang=30,
    ),
    Fault(
        "S12",
        "400 `context_length_exceeded` always",
        _always(Play(refused=TOO_LONG)),
        (rules.asked_once(), AFTERWARDS),
        hang=20,
    ),
    Fault(
        "S13",
        "400 `content_policy_violation` always",
        _always(Play(refused=AGAINST_POLICY)),
        (rules.asked_once(), AFTERWARDS),
        hang=20,
        ideal="error",
    ),
    Fault(
        "S14",
        "as S08, and the fallback refuses a prefill",
        _always(Play(cut_after=40)),
        (rules.NO_REFUSED_PREFILL, AFTERWARDS),
        hang=40,
        fallback=OK_NO_PREFILL,
    ),
    Fault(
        "S15",
        "503 for 60 s, then healthy; 20 requests 4 s apart",
        _flaps,
        (rules.ALL_HONEST, rules.ANSWERED_IN_OUTAGE, rules.BACK, AFTERWARDS),
        hang=30,
        course="sequence",
    ),
    Fault(
        "S16",
        "503 for ever: who answered",
        _always(Play(refused=OVERLOADED)),
        (rules.NAMES_FALLBACK, rules.USAGE, FEW_IN_ALL, AFTERWARDS),
        hang=40,
    ),
)
LEAVING = Fault(
    "L01",
    "eight callers leave a slow answer, a ninth stays",
    _slow_at_first,
    (rules.STILL_TRUSTED, rules.LET_GO, AFTERWARDS),
    hang=20,
    course="leaving",
)
"""Beyond the sixteen: a client that leaves is no failure of the model, and must not be counted as one."""
FAULTS = (*SIXTEEN, LEAVING)


@dataclass(frozen=True, slots=True)
class Actor:
    """The model of one fault, for the upstream."""

    fault: Fault
    profile: Profile
    takes_prefill: bool = True

    def play(self, number: int, seconds: float) -> Play:
        """What it does with its call of that number."""
        return self.fault.act(number, seconds, self.profile)


@dataclass(frozen=True, slots=True)
class Healthy:
    """A fallback."""

    takes_prefill: bool = True

    def play(self, number: int, seconds: float) -> Play:
        """The right answer."""
        return RIGHT


def models(profile: Profile) -> Mapping[str, Actor | Healthy]:
    """Every model of the upstream by name."""
    failing = {fault.model: Actor(fault, profile) for fault in FAULTS}
    return {**failing, OK: Healthy(), OK_NO_PREFILL: Healthy(takes_prefill=False)}
