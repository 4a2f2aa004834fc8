"""What the outcome of a lease means for its key and its account (interface: how long what rests).

Only failures that are the key's or the account's own leave a mark. Those of the request, of a model, of Poe or of the
network never touch a key.
"""

from __future__ import annotations

import logging

from service.errors import Failure, Kind
from service.keys.account import Key

TWO_MODELS_SECONDS = 10.0
"""Two models refused on one account within this time, and the limit is the account's."""
UNCOVERED_SECONDS = 3600.0

_log = logging.getLogger(__name__)


def accepted(key: Key, model: str, lease: object, *, taken: float, now: float) -> None:
    """Poe took a request of a lease taken at `taken`: what was half-open is open, later pauses start small again."""
    account = key.account
    for pause in (key.revoked, account.dry, account.rest):
        pause.trust(lease, taken)
    if account.refused is not None and taken > account.refused[1]:
        account.refused = None
    rest = key.rests.get(model)
    if rest is not None and rest.outlived_by(lease, taken):
        del key.rests[model]
    key.settle()
    account.settle(now)


def failed(
    key: Key, model: str, failure: Failure, *, taken: float, now: float, longest: float, chance: float = 0.5
) -> bool:
    """Let rest what the failure blames; True if something went on probation, so that a probe has to be planned.

    `longest` bounds, in seconds, a rest for which Poe named no time; `chance`, from 0 to 1, spreads it.
    """
    match failure.kind:
        case Kind.RATE_LIMITED:
            _rate_limited(key, model, failure, taken=taken, now=now, longest=longest, chance=chance)
        case Kind.NOT_COVERED:
            key.rest_of(model, now).begin_uncovered(now, UNCOVERED_SECONDS)
        case Kind.DRY:
            return dry(key, taken=taken, now=now)
        case Kind.KEY_REVOKED:
            return revoked(key, taken=taken, now=now)
    return False


def dry(key: Key, *, taken: float, now: float) -> bool:
    """The account has no points left."""
    began = key.account.dry.begin(now, taken=taken)
    if began:
        key.account.settle(now)
        _log.warning("account of key %s is out of points; it is probed until it has some", key.spec.name)
    return began


def revoked(key: Key, *, taken: float, now: float) -> bool:
    """Poe does not accept the key."""
    began = key.revoked.begin(now, taken=taken)
    if began:
        key.settle()
        _log.warning("key %s is refused by Poe; it is probed until it is accepted", key.spec.name)
    return began


def balance(key: Key, points: int, *, asked: float, now: float) -> None:
    """A probe asked at `asked` was answered: the key is good, and its account has `points`."""
    key.account.points = points
    if key.revoked.end(now, asked=asked):
        key.settle()
        _log.info("key %s is accepted again", key.spec.name)
    if points > 0 and key.account.dry.end(now, asked=asked):
        key.account.settle(now)
        _log.info("account of key %s has points again", key.spec.name)


def no_balance(key: Key, failure: Failure, *, asked: float, now: float) -> None:
    """A probe asked at `asked` failed."""
    if failure.kind is Kind.KEY_REVOKED:
        revoked(key, taken=asked, now=now)
    elif failure.kind is Kind.DRY:
        dry(key, taken=asked, now=now)


def _rate_limited(
    key: Key, model: str, failure: Failure, *, taken: float, now: float, longest: float, chance: float
) -> None:
    told = failure.retry_after
    key.rest_of(model, now).begin(now, taken=taken, told=told, longest=longest, chance=chance)
    account = key.account
    before = account.refused
    account.refused = (model, now)
    other_model = before is not None and before[0] != model and now - before[1] <= TWO_MODELS_SECONDS
    if failure.account_wide or other_model:
        account.rest.begin(now, taken=taken, told=told, longest=longest, chance=chance)
        _log.info("account of key %s rests %.1f s after a rate limit", key.spec.name, account.rest.until - now)
    account.settle(now)
