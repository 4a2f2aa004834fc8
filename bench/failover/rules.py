"""What a gateway has to keep under a fault: each rule looks at both ends and says what it finds broken, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.failover.answer import ANSWER, normal
from bench.failover.caller import Seen
from bench.failover.profile import Profile
from bench.failover.upstream import Call

Finding = str | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one fault: by the caller, by the model that fails, and by a caller who asked afterwards.

    `seen` is the answer of one request; a fault with many judges each of them in `sequence`. `outage` is when the
    primary fell and rose again, by the monotonic clock.
    """

    profile: Profile
    seen: Seen
    calls: tuple[Call, ...]
    after: Seen
    fallback: str
    sequence: tuple[Seen, ...] = ()
    outage: tuple[float, float] = (0.0, 0.0)
    left_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """`broken` says what is wrong, None where all is right. Breaking an advisory one is not a failure."""

    name: str
    broken: Callable[[Sight], Finding] = field(repr=False)
    advisory: bool = False


def is_whole(seen: Seen) -> bool:
    """Whether the caller holds the complete known answer and was told so properly."""
    complete = normal(seen.text) == ANSWER and seen.reasons == ["stop"]
    return complete and seen.done and not (seen.errors or seen.junk or seen.broken or seen.hung) and seen.status == 200


def is_clean_error(seen: Seen) -> bool:
    """Whether the caller was told, in a way that a client understands, that there is no answer."""
    if seen.hung or seen.junk or seen.done:
        return False
    if seen.status == 200:
        return bool(seen.errors) != seen.broken
    return seen.status >= 400 and bool(seen.errors)


def honest(seen: Seen) -> Finding:
    """The rules of every answer, whatever the fault: no junk, no mixture, no cut answer shown as a whole one."""
    if seen.hung:
        return f"no end within {seen.seconds:.1f} s"
    if seen.junk:
        return seen.junk[0]
    if not ANSWER.startswith(normal(seen.text)):
        return f"the text is not the answer: …{normal(seen.text)[-40:]!r}"
    if seen.done and seen.errors:
        return "[DONE] after an error"
    if len(seen.reasons) > 1:
        return f"{len(seen.reasons)} finish reasons"
    if normal(seen.text) != ANSWER and not is_clean_error(seen):
        return f"a cut answer shown as a whole one ({len(seen.text.split())} words)"
    return None


def done_within(published: float, *, advisory: bool = False) -> Rule:
    """The answer, or the error, has to be there by then."""

    def broken(sight: Sight) -> Finding:
        limit = sight.profile.seconds(published)
        return None if sight.seen.seconds <= limit else f"{sight.seen.seconds:.1f} s, at most {limit:g} s"

    return Rule("in time", broken, advisory)


def tries(most: int, *, within: float | None = None) -> Rule:
    """At most so many requests to the failing model, in the first `within` seconds where that is given."""

    def broken(sight: Sight) -> Finding:
        began = sight.calls[0].at if sight.calls else 0.0
        count = sum(within is None or call.at - began <= within for call in sight.calls)
        return None if count <= most else f"asked {count} times{f' in {within:g} s' if within else ''}, at most {most}"

    return Rule("few tries", broken)


def asked_once(*, advisory: bool = False) -> Rule:
    """The failing model is asked exactly once."""

    def broken(sight: Sight) -> Finding:
        return None if len(sight.calls) == 1 else f"asked {len(sight.calls)} times instead of once"

    return Rule("once only", broken, advisory)


def _asked_again(sight: Sight) -> Finding:
    return None if len(sight.calls) >= 2 else "not asked again"


def not_before(seconds: float) -> Rule:
    """The second request to the failing model comes no sooner."""

    def broken(sight: Sight) -> Finding:
        if len(sight.calls) < 2:
            return "not asked again"
        gap = sight.calls[1].at - sight.calls[0].at
        return None if gap >= seconds else f"asked again after {gap:.1f} s, not before {seconds:g} s"

    return Rule("patience", broken, advisory=True)


def _usage(sight: Sight) -> Finding:
    return None if sight.seen.usage else "no usage"


def _names_fallback(sight: Sight) -> Finding:
    models = {name.rpartition("/")[2] for name in sight.seen.models}
    return None if models == {sight.fallback} else f"the answer names {', '.join(sorted(models)) or 'no model'}"


def _healthy(sight: Sight) -> Finding:
    return None if is_whole(sight.after) else "no whole answer to a healthy request afterwards"


def _no_refused_prefill(sight: Sight) -> Finding:
    return "the caller sees the refused prefill" if any("prefill" in error for error in sight.seen.errors) else None


def _whole(sight: Sight) -> Finding:
    return None if is_whole(sight.seen) else "not the whole answer"


def _answered_in_outage(sight: Sight) -> Finding:
    down = [seen for seen in sight.sequence if seen.asked_at < sight.outage[1]]
    missed = [number for number, seen in enumerate(down, start=1) if not is_whole(seen)]
    return f"{len(missed)} of {len(down)} requests in the outage not answered" if missed else None


BACK_SECONDS = 30.0


def _back(sight: Sight) -> Finding:
    up = sight.outage[1]
    waits = [call.at - up for call in sight.calls if call.at >= up]
    if not waits:
        return f"not used again within {BACK_SECONDS:g} s of its recovery"
    return None if waits[0] <= BACK_SECONDS else f"used again only {waits[0]:.0f} s after its recovery"


def _all_honest(sight: Sight) -> Finding:
    return next((found for found in map(honest, sight.sequence) if found is not None), None)


def _still_trusted(sight: Sight) -> Finding:
    # Not since the others left: on a busy machine a call of theirs may arrive after they did.
    asked = any(call.at >= sight.seen.asked_at for call in sight.calls)
    return None if asked else "those who left opened its circuit: the one who stayed never reached it"


LET_GO_SECONDS = 1.0


def _let_go(sight: Sight) -> Finding:
    left = [call for call in sight.calls if call.at < sight.left_at]
    held = sum(call.left_at is None or call.left_at - sight.left_at > LET_GO_SECONDS for call in left)
    return f"{held} of {len(left)} calls open {LET_GO_SECONDS:g} s after their callers left" if held else None


ASKED_AGAIN = Rule("asked again", _asked_again, advisory=True)
USAGE = Rule("usage", _usage, advisory=True)
NAMES_FALLBACK = Rule("names the fallback", _names_fallback)
HEALTHY = Rule("healthy afterwards", _healthy)
HEALTHY_ADVISED = Rule("healthy afterwards", _healthy, advisory=True)
NO_REFUSED_PREFILL = Rule("no refused prefill", _no_refused_prefill)
WHOLE = Rule("whole", _whole, advisory=True)
ANSWERED_IN_OUTAGE = Rule("answered in the outage", _answered_in_outage)
BACK = Rule("back in use", _back)
ALL_HONEST = Rule("honest each time", _all_honest)
STILL_TRUSTED = Rule("still trusted", _still_trusted)
LET_GO = Rule("let go", _let_go, advisory=True)
