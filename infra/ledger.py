"""Which Poe keys and access tokens Fly has: by what was sent from here, and by the digests that Fly shows.

Fly's secrets cannot be read back. A digest that has changed tells whether a value arrived whose answer was lost, and
that somebody else has sent another one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from infra import credentials, shapes
from infra.credentials import KEYS, TOKENS, Values, digest_of
from infra.record import Drawer, Issued, Record
from infra.session import Session
from infra.shapes import Secret


def listed(session: Session) -> tuple[Secret, ...]:
    """The secrets that Fly has."""
    return shapes.secrets(session.fly.json("secrets list", app=session.app))


def settle(session: Session, found: Sequence[Secret]) -> Record:
    """The record with what Fly shows now taken into account; it is remembered so."""
    record = settled(session.drawer.record(), digests(found))
    _keep(session, record)
    return record


def settled(record: Record, now: Mapping[str, str]) -> Record:
    """The record after a look at the digests: what was on its way has arrived or not, and others' changes are told."""
    changed = {name for name, digest in record.seen.items() if now.get(name, "") != digest}
    keys = record.sending_keys if KEYS in changed else record.keys
    record = replace(record, keys=keys, sending_keys="", seen=_seen(now))
    if TOKENS not in changed:
        return replace(record, sending=())
    if record.sending:
        return replace(record, staged=record.sending, sending=(), elsewhere=False)
    return replace(record, issued=(), staged=(), elsewhere=True)


def sending(session: Session, found: Sequence[Secret], tokens: Sequence[Issued], keys: Values | None) -> None:
    """Remember what goes to Fly before it goes there; `found` is what it shows until then."""
    record = session.drawer.record()
    sent_keys = digest_of(keys.text) if keys else ""
    names = [name for name, sent in ((KEYS, keys), (TOKENS, tokens)) if sent]
    behind = tuple(dict.fromkeys([*record.behind, *names]))
    _keep(
        session,
        replace(record, sending=tuple(tokens), sending_keys=sent_keys, seen=_seen(digests(found)), behind=behind),
    )


def arrived(session: Session, found: Sequence[Secret]) -> None:
    """Remember that Fly has it; `found` is what it shows now."""
    record = session.drawer.record()
    if record.sending:
        record = replace(record, staged=record.sending, sending=(), elsewhere=False)
    keys = record.sending_keys or record.keys
    _keep(session, replace(record, keys=keys, sending_keys="", seen=_seen(digests(found))))


def rolled_out(session: Session) -> None:
    """Remember that all machines run what was staged, and let the kept token go where it is no longer among it."""
    if session.dry_run:
        return
    drawer, now = session.drawer, time.time()
    record = drawer.record()
    # Those that have ended, too: where nothing else is left, it is known all the same what Fly has.
    _keep(session, replace(record, issued=record.next, staged=(), removing=""))
    alive = {each.digest for each in record.next if each.ends is None or each.ends > now}
    if record.staged and digest_of(drawer.access_token()) not in alive:
        drawer.forget_access_token()


def stored(drawer: Drawer, names: Iterable[str]) -> None:
    """Remember that GitHub has these values as well."""
    record = drawer.record()
    drawer.keep(replace(record, behind=tuple(name for name in record.behind if name not in set(names))))


def known(record: Record, found: Sequence[Secret]) -> tuple[Issued, ...] | None:
    """The tokens that Fly has, by a settled record; None where it has some that nobody here knows.

    One that machines still take and a staged rotation leaves out was meant to end: it is not among them.
    """
    return record.next or (None if TOKENS in digests(found) else ())


def sent(record: Record, name: str, values: Values) -> bool:
    """Whether these values are those that Fly has from here."""
    if name == KEYS:
        return digest_of(values.text) == record.keys
    return {*values.issued} <= {*record.next}


def kept_token(drawer: Drawer) -> str:
    """The token that `setup` made, unless another took its place since; empty for none."""
    text, record = drawer.access_token(), drawer.record()
    good = {each.digest for each in record.next if each.ends is None}
    never_sent = not (record.next or record.sending or record.elsewhere)
    return text if text and (never_sent or digest_of(text) in good) else ""


def tokens_at_hand(session: Session) -> list[str]:
    """Access tokens whose text is here: of the environment, and the one that `setup` made."""
    kept = session.drawer.access_token()
    session.redact.add(kept)
    return credentials.plain_tokens(credentials.joined(os.environ.get(TOKENS, "")) + "," + kept)


def digests(found: Sequence[Secret]) -> dict[str, str]:
    """Name → what Fly shows of the value."""
    return {each.name: each.digest for each in found}


def _seen(now: Mapping[str, str]) -> dict[str, str]:
    return {name: now.get(name, "") for name in (KEYS, TOKENS)}


def _keep(session: Session, record: Record) -> None:
    if not session.dry_run and record != session.drawer.record():
        session.drawer.keep(record)
