"""The failure table as a page: what Poe says and does, which kind of failure it is, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import orjson

from service.errors import POLICY, Failure, Kind, Policy, Rested
from service.keys.account import DRY_PROBE_SECONDS, LONGEST_PROBE_SECONDS, REVOKED_PROBE_SECONDS
from service.keys.outcome import TWO_MODELS_SECONDS, UNCOVERED_SECONDS
from service.keys.rest import FIRST_REST_SECONDS, LONGEST_TOLD_SECONDS
from service.routing.circuits import FIRST_TRIAL_SECONDS, LAST_TRIAL_SECONDS
from service.wires.refusal_words import VAGUE, WORDS
from service.wires.refusals import failure_from_error, failure_from_status

STATUSES = range(400, 600)
BELOW_HTTP: Sequence[tuple[str, Kind]] = (
    ("the name is not found; no connection, no TLS, or no certificate to trust", Kind.UNREACHABLE),
    ("the connection breaks before the head of an answer is whole", Kind.UNREACHABLE),
    ("the head is not HTTP, or is too large", Kind.BROKEN),
    ("a 200 that is a page of HTML, or anything else that no answer is", Kind.BROKEN),
    ("a whole answer that is no JSON, has no message in it, or is too large", Kind.BROKEN),
    ("a line or an event that is too large", Kind.BROKEN),
    ("an `error` object or event inside a 200", Kind.BROKEN),
    ("the connection breaks in the middle of an answer", Kind.CUT),
    ("a stream ends without its proper end: a finish reason, or `done` of a bot", Kind.CUT),
    ("a chunk or an event that cannot be read", Kind.CUT),
    ("a tool call that ends before its arguments are whole, or that names no function", Kind.CUT),
    ("a proper end with nothing before it, and no word that it was cut or filtered", Kind.EMPTY),
    ("no sign of work within `FIRST_EVENT_TIMEOUT`, nothing visible within `ANSWER_TIMEOUT`", Kind.SILENT),
    ("nothing for `IDLE_TIMEOUT` after the first visible event", Kind.SILENT),
)
"""What is seen below statuses and words. An `error` of which no word says more is Poe's own failure."""
RESTS: Mapping[Rested, str] = {
    "nothing": "nothing",
    "key and model": f"the key for this model: as long as Poe says, at most {LONGEST_TOLD_SECONDS:.0f} s, "
    f"else from {FIRST_REST_SECONDS:.0f} s growing to `REST_MAX`; the account, where two models are limited "
    f"within {TWO_MODELS_SECONDS:.0f} s or Poe says that the account is at its limit",
    "key": f"the key, until a free probe succeeds: after {REVOKED_PROBE_SECONDS:.0f} s, "
    f"growing to {LONGEST_PROBE_SECONDS:.0f} s",
    "account": f"the account, until a free probe sees points: after {DRY_PROBE_SECONDS:.0f} s, "
    f"growing to {LONGEST_PROBE_SECONDS:.0f} s",
    "model and wire": "the model on this wire, once `BREAKER_FAILURES` requests in a row have failed so: one trial "
    f"after {FIRST_TRIAL_SECONDS:.0f} s, growing to {LAST_TRIAL_SECONDS:.0f} s",
}
UNCOVERED = f"the key for this model, {UNCOVERED_SECONDS:.0f} s"


def page() -> str:
    """The generated part of docs/failures.md."""
    return "\n".join(
        [
            *_table(
                ("Kind", "What happened", "Whose fault", "Tried again with", "What rests", "Told at the end"), _kinds()
            ),
            "",
            "### Which status is which kind",
            "",
            "Where a body says nothing more. A word or a sentence in it may say more: the second table, and the text. "
            "A page of HTML with 403, 404, 405 or 501 is not Poe's word about a key or a model: `broken`.",
            "",
            *_table(("Status", "Kind"), _statuses()),
            "",
            "### Which word is which kind",
            "",
            "In `type`, `code` or `error_type` of an error, inside a 200 as well.",
            "",
            *_table(("Word", "Kind"), _words()),
            "",
            "### What is seen without a status",
            "",
            *_table(("What", "Kind"), [(what, f"`{kind}`") for what, kind in BELOW_HTTP]),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _kinds() -> Iterator[tuple[str, ...]]:
    for kind, policy in POLICY.items():
        rests = UNCOVERED if kind is Kind.NOT_COVERED else RESTS[policy.rests]
        yield f"`{kind}`", policy.what, policy.blame, _tries(kind, policy), rests, _told(policy)


def _tries(kind: Kind, policy: Policy) -> str:
    """In the order in which they are tried."""
    if kind is Kind.UNSUPPORTED_PARAMETER:
        return "the same key, without the parameter"
    if kind is Kind.UPLOAD_REFUSED:
        return "the same once more, with a new upload"
    ways = [
        (policy.other_wire, "another wire"),
        (policy.other_key, "another key"),
        (policy.same_key, "the same key after a pause"),
        (policy.other_model, "a fallback"),
    ]
    if kind is Kind.SILENT:  # a second key on the same silent route only doubles the wait
        ways.insert(0, ways.pop())
    if kind is Kind.RATE_LIMITED:
        ways[2] = (True, "the same key, where Poe says that the limit passes within 5 s")
    words = [word for helps, word in ways if helps]
    return ", then ".join(words) or "nothing"


def _told(policy: Policy) -> str:
    told = policy.told
    return f"{told.status} `{told.code or told.type}`" + (" with `Retry-After`" if told.waits else "")


def _statuses() -> Iterator[tuple[str, str]]:
    """Neighbours of one kind together."""
    for kind, group in groupby(STATUSES, key=lambda status: _kind(failure_from_status(status, {}, b""))):
        statuses = list(group)
        first, last = statuses[0], statuses[-1]
        yield (f"{first}" if first == last else f"{first}–{last}"), f"`{kind}`"


def _words() -> Iterator[tuple[str, str]]:
    """The words that Poe and the providers behind it use, read as they are read in an answer."""
    words = sorted({*WORDS, *[word for word in VAGUE if word]})
    by_kind = {word: _kind(failure_from_error(orjson.loads(orjson.dumps({"error": {"code": word}})))) for word in words}
    for kind in POLICY:
        found = [f"`{word}`" for word in words if by_kind[word] is kind]
        if found:
            yield ", ".join(found), f"`{kind}`"


def _kind(failure: Failure) -> Kind:
    return failure.kind
