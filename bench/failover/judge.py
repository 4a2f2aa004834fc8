"""From what was seen of a fault to a verdict and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.failover.faults import Fault
from bench.failover.rules import Sight, honest, is_clean_error, is_whole

Word = Literal["pass", "partial", "safe", "fail"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Only `pass` counts. `partial`: the answer, but an advisory rule broken. `safe`: an error, and no rule broken."""

    word: Word
    reason: str
    seconds: float


def judged(fault: Fault, sight: Sight) -> Verdict:
    """The verdict; the reason of a pass is empty."""
    word, reason = _judged(fault, sight)
    return Verdict(word, reason, sight.seen.seconds)


def _judged(fault: Fault, sight: Sight) -> tuple[Word, str]:
    required = [honest(sight.seen), *[rule.broken(sight) for rule in fault.rules if not rule.advisory]]
    if broken := [found for found in required if found is not None]:
        return "fail", broken[0]
    if fault.ideal == "error":
        if not is_clean_error(sight.seen):
            return "partial", "answered by the fallback, which the provider's refusal forbids"
    elif not is_whole(sight.seen):
        return _without_answer(sight)
    advised = [rule.broken(sight) for rule in fault.rules if rule.advisory]
    if broken := [found for found in advised if found is not None]:
        return "partial", broken[0]
    return "pass", ""


def _without_answer(sight: Sight) -> tuple[Word, str]:
    seen = sight.seen
    if is_clean_error(seen):
        told = seen.errors[0] if seen.errors else "the connection broke"
        return "safe", f"{seen.status}, {len(seen.text.split())} words: {told[:120]}"
    if not seen.done:
        return "fail", "the whole answer without [DONE]"
    return "fail", f"finish reasons {seen.reasons}, status {seen.status}"
