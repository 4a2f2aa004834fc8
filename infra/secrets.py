"""Secrets on Fly: new Poe keys and access tokens, checked, staged, rolled out and seen at work."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from invoke import Exit

from infra import credentials, deploy, github, import_lines, ledger, smoke, waiting
from infra.credentials import KEYS, TOKENS, Values
from infra.fly import FlyError, wrong_use
from infra.fly_task import fly_task
from infra.plural import counted
from infra.record import Issued
from infra.session import Session, quoted
from infra.shapes import Machine, Secret
from infra.smoke import Expected
from infra.task import ExitCode

LONGEST_GRACE_SECONDS = 30 * 86_400.0
ROLLED_OUT_SECONDS = 120.0
ARRIVAL_SECONDS = 10.0
TENANT_NAME = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class New:
    """What is to be sent: keys, tokens or both, and the earlier tokens that go on for a while."""

    keys: Values | None
    tokens: Values | None
    kept: tuple[Issued, ...] = ()

    @property
    def secrets(self) -> Mapping[str, str]:
        """The variables with their values."""
        found = {} if self.keys is None else {KEYS: self.keys.text}
        if self.tokens is not None:
            found[TOKENS] = ",".join([self.tokens.text, *(each.written() for each in self.kept)])
        return found

    @property
    def given(self) -> Mapping[str, Values]:
        """The variables with what was given for them."""
        return {name: each for name, each in ((KEYS, self.keys), (TOKENS, self.tokens)) if each is not None}

    @property
    def issued(self) -> tuple[Issued, ...]:
        """Every token that is good afterwards."""
        return () if self.tokens is None else (*self.tokens.issued, *self.kept)


@fly_task(
    name="rotate",
    help={
        "keys_file": "F: the new Poe keys; without it POE_API_KEYS, `-` is standard input",
        "tokens_file": "F: the new access tokens; without it ACCESS_TOKENS",
        "grace": "TIME: how long the tokens that are left out go on: 24h, 30m, 0",
        "old_tokens_file": "F: the tokens given out before, where .poe-proxy/ does not know them",
    },
)
def rotate(
    session: Session, keys_file: str = "", tokens_file: str = "", grace: str = "24h", old_tokens_file: str = ""
) -> dict[str, Any]:
    """Check new keys and tokens, send them to Fly, roll them out and see them at work.

    Values come from a file, the environment or a prompt. A token that is left out goes on for `--grace`, as a digest.
    Runs: flyctl status · secrets list · secrets import --stage · secrets deploy · status
    """
    grace_seconds = checked_grace(grace)
    if [keys_file, tokens_file, old_tokens_file].count("-") > 1:
        raise wrong_use("only one file can be `-`, standard input")
    with session.alone():
        status = session.status()
        before = ledger.listed(session)
        known = _known(session, before, old_tokens_file)
        new = _new(session, known, keys_file, tokens_file, grace_seconds)
        names = " and ".join(new.secrets)
        deploy.tell_gap(session, status.machines)
        if session.console.shows:
            _tell_what(session, new, known)
        if not session.console.confirm(
            f"Send {names} to {session.app} and restart its machines one by one?", yes=session.yes
        ):
            raise wrong_use("nothing was changed")
        after = stage(session, new, before)
        # Before the machines: whatever becomes of them, it is these values that Fly has.
        github.refresh(session, session.drawer, new.secrets)
        if not status.machines:
            session.done("secrets", f"{names} wait for the first deployment")
        else:
            roll_out(session, new, token_to_try(session, new, status.machines))
        return {"app": session.app, "sent": list(new.secrets), "changed": _changed(before, after, new)}


@fly_task(name="list")
def list_secrets(session: Session) -> list[dict[str, str]]:
    """The names on Fly, the digest that Fly shows of each value, and whether machines run with it.

    Runs: flyctl secrets list
    """
    found = ledger.listed(session)
    session.console.table(
        ("NAME", "DIGEST", "STATUS"), [(each.name, each.digest, each.status) for each in found], "no secrets"
    )
    return [{"name": each.name, "digest": each.digest, "status": each.status} for each in found]


@fly_task(name="check")
def check_secrets(session: Session) -> list[dict[str, str]]:
    """Hold the names on Fly against the service's settings; exit 4 where they differ.

    Runs: flyctl secrets list
    """
    found = drift(session, ledger.listed(session))
    for name, problem, fix in found:
        session.console.point("failed", name, problem, fix)
    if not found:
        session.console.point("ok", "secrets", "all that the service needs is there and in use")
    elif not session.dry_run:
        session.console.result([{"name": name, "problem": problem, "fix": fix} for name, problem, fix in found])
        raise Exit(None, code=int(ExitCode.DRIFT))
    return []


@fly_task(name="remove", help={"name": "FLY_SECRET: the secret to remove"})
def remove_secret(session: Session, name: str = "") -> dict[str, Any]:
    """Remove one secret, and restart the machines without it.

    Runs: flyctl secrets list · secrets unset --stage · status · secrets deploy
    """
    if not SECRET_NAME.fullmatch(name):
        raise wrong_use("--name FLY_SECRET is missing; `./dev secrets.list` shows the names")
    if name in needed(session):
        raise wrong_use(f"the service does not start without {name}; `./dev secrets` puts another value in its place")
    with session.alone():
        drawer = session.drawer
        there = name in {each.name for each in ledger.listed(session)}
        if not there and drawer.record().removing != name:
            session.console.line(f"{session.app} has no secret {name}")
            return {"app": session.app, "removed": None}
        if not session.console.confirm(f"Remove {name} from {session.app} and restart its machines?", yes=session.yes):
            raise wrong_use("nothing was changed")
        # Remembered, since Fly does not list what machines alone still have.
        if not session.dry_run:
            drawer.keep(replace(drawer.record(), removing=name))
        if there:
            session.fly.text("secrets unset", name, "--stage", app=session.app)
        if session.status().machines:
            push_to_machines(session)
        session.done("secrets", f"{name} is removed")
        return {"app": session.app, "removed": name}


@fly_task(name="new", help={"name": "TENANT: whose token it will be"})
def new_token(session: Session, name: str = credentials.TENANT) -> dict[str, str]:
    """Make an access token and print it as NAME:TOKEN, for a file that `secrets --tokens-file` takes.

    Runs: nothing of flyctl; the token is random and known to nobody else.
    """
    if not TENANT_NAME.fullmatch(name):
        raise wrong_use(f"--name {quoted(name)}: small letters, digits, _ and -, at most 32")
    token = credentials.new_token(name)
    session.console.secret(token)
    return {"name": name, "token": token.partition(":")[2]}


def needed(session: Session) -> frozenset[str]:
    """The secrets without which the service does not start on Fly."""
    return frozenset(each.name for each in session.settings if each.secret)


def drift(session: Session, found: Sequence[Secret]) -> list[tuple[str, str, str]]:
    """What is not as it should be: name, problem and fix of each."""
    settings = session.settings
    names = {each.name for each in found}
    env = session.config.env
    wanted = [each.name for each in settings if each.secret]
    known = {each.name for each in settings}
    problems = [(name, "is not on Fly", "./dev secrets") for name in wanted if name not in names]
    for each in found:
        if each.name not in known:
            problems.append((each.name, "is no setting of the service", f"./dev secrets.remove --name {each.name}"))
        elif each.name in env:
            problems.append((each.name, "stands in fly.toml's env too, where it has no effect", "take it out of one"))
        if each.waits and each.name in known:
            problems.append((each.name, f"is {each.status.lower()}: not all machines run with it", "./dev deploy"))
    return problems


def stage(session: Session, new: New, before: Sequence[Secret]) -> tuple[Secret, ...]:
    """Send the values to Fly without a restart, remembered before Fly knows them.

    `before` is what Fly shows until then; returns what it shows once all arrived.
    """
    try:
        lines = import_lines.encode(new.secrets)
    except ValueError as problem:
        raise wrong_use(f"{problem}; nothing was sent to Fly") from None
    for value in new.secrets.values():
        session.redact.add(value)
    ledger.sending(session, before, new.issued, new.keys)
    try:
        session.fly.text("secrets import", "--stage", app=session.app, stdin=lines)
    except FlyError:
        # Whether it arrived is best asked now: later, what somebody else sends could pass for it.
        with contextlib.suppress(FlyError):
            ledger.settle(session, ledger.listed(session))
        raise
    if session.dry_run:
        return ()
    found = _arrived(session, new, before)
    missing = new.secrets.keys() - {each.name for each in found}
    if missing:
        raise Exit(f"Fly did not take {', '.join(sorted(missing))}; run the same task again", code=int(ExitCode.FAILED))
    ledger.arrived(session, found)
    session.done("secrets", f"{' and '.join(new.secrets)} staged")
    return found


def _arrived(session: Session, new: New, before: Sequence[Secret]) -> tuple[Secret, ...]:
    """What Fly shows once it shows the new values: for a moment it may still show the earlier ones."""
    record, then = session.drawer.record(), ledger.digests(before)
    same = {name for name, values in new.given.items() if ledger.sent(record, name, values)}

    def shown(found: Sequence[Secret]) -> bool:
        now = ledger.digests(found)
        return all(name in now and (name in same or now[name] != then.get(name)) for name in new.secrets)

    return waiting.until(lambda: ledger.listed(session), shown, ARRIVAL_SECONDS)


def token_to_try(session: Session, new: New, machines: Sequence[Machine]) -> str:
    """The access token for the smoke test once the new values are in use; empty for none."""
    if new.tokens is not None:
        return next(iter(credentials.plain_tokens(new.tokens.text)), "")
    return deploy.tried_token(session, machines)


def roll_out(session: Session, new: New, token: str) -> None:
    """Restart the machines with what is staged, and see each of them at work with it."""
    push_to_machines(session)
    if session.dry_run:
        return
    with session.console.progress("testing each machine"):
        machines = deploy.wait_healthy(session)
        found = smoke.problems(session, machines, Expected(token=token))
    if found:
        untested = "`./dev rollback` takes back an image that was never tested, " if session.drawer.before() else ""
        raise Exit(
            f"the new secrets are in use, but: {'; '.join(found)}. {untested}`./dev secrets` takes better ones, "
            "`./dev logs` shows what the machines say",
            code=int(ExitCode.FAILED),
        )
    session.done("secrets", f"{counted(len(machines), 'machine')} now with {' and '.join(new.secrets)}")


def push_to_machines(session: Session) -> None:
    """Roll staged secrets out, and wait until every machine is of a release that came after them."""
    before = max((each.release for each in session.status().machines), default=0)
    with session.console.progress("restarting the machines with the new secrets"):
        session.fly.text("secrets deploy", "--dns-checks=false", app=session.app)
        if session.dry_run:
            return
        late = waiting.until(lambda: _late(session, before), lambda late: not late, ROLLED_OUT_SECONDS)
    if late:
        raise Exit(
            f"machine {', '.join(late)} does not run with the new secrets yet; run the same task again",
            code=int(ExitCode.FAILED),
        )
    ledger.rolled_out(session)


def checked_grace(text: str) -> float:
    """Seconds of `24h`, `30m`, `7d` or `0`."""
    found = re.fullmatch(r"(\d{1,6})([smhd]?)", text.strip())
    seconds = int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]] if found else -1
    if not 0 <= seconds <= LONGEST_GRACE_SECONDS:
        raise wrong_use(f"--grace {quoted(text)} is no time like 24h, 30m or 0, at most 30d")
    return float(seconds)


def in_grace(known: Sequence[Issued] | None, new: Values, grace_seconds: float) -> tuple[Issued, ...]:
    """What goes on beside the new tokens; refuses to end without notice what nobody here knows (None)."""
    if known is None and grace_seconds:
        raise Exit(
            "the tokens in use are not known here, so they would end at once: give them by --old-tokens-file F, "
            "or end them by --grace 0",
            code=int(ExitCode.NOT_SET_UP),
        )
    return kept_tokens(known or (), new.issued, grace_seconds, time.time())


def kept_tokens(known: Sequence[Issued], new: Sequence[Issued], grace_seconds: float, now: float) -> tuple[Issued, ...]:
    """Tokens that were given out and are not among the new ones, each ending after the grace time at the latest."""
    fresh = {each.digest for each in new}
    end = float(int(now + grace_seconds))
    return tuple(
        replace(each, ends=end if each.ends is None else min(each.ends, end))
        for each in known
        if grace_seconds and each.digest not in fresh and (each.ends is None or each.ends > now)
    )


def _known(session: Session, found: Sequence[Secret], old_file: str) -> tuple[Issued, ...] | None:
    """The tokens that may be in use now, those of the file among them; None where nobody here knows them."""
    record = ledger.settle(session, found)
    if not old_file:
        return ledger.known(record, found)
    text = credentials.text_of_file(old_file, "--old-tokens-file")
    session.redact.add(text)
    return (*record.next, *credentials.checked_tokens(text).issued)


def _new(
    session: Session, known: Sequence[Issued] | None, keys_file: str, tokens_file: str, grace_seconds: float
) -> New:
    # A file that is named is all that is meant; the environment and a prompt are for whoever names none.
    anything = not (keys_file or tokens_file)
    keys = tokens = ""
    if keys_file or anything:
        question = "New Poe keys, or Enter to leave them" * anything
        keys = credentials.given(session, KEYS, keys_file, "--keys-file", question)
    if tokens_file or anything:
        question = "New access tokens, or Enter to leave them" * anything
        tokens = credentials.given(session, TOKENS, tokens_file, "--tokens-file", question)
    if not keys.strip() and not tokens.strip():
        raise wrong_use(f"nothing new: give --keys-file, --tokens-file, or set {KEYS} or {TOKENS}")
    checked = credentials.checked_tokens(tokens) if tokens.strip() else None
    kept = in_grace(known, checked, grace_seconds) if checked is not None else ()
    return New(credentials.checked_keys(session, keys) if keys.strip() else None, checked, kept)


def _tell_what(session: Session, new: New, known: Sequence[Issued] | None) -> None:
    """Say by their names what is sent, and what becomes of the tokens of before."""
    for name, values in new.given.items():
        session.console.say(f"{name}: {values.names}")
    if new.kept:
        last = max(each.ends or 0 for each in new.kept)
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(last))
        names = ", ".join(dict.fromkeys(each.name for each in new.kept))
        session.console.say(f"{counted(len(new.kept), 'earlier token')} ({names}): good until {when}")
    elif new.tokens is not None and known != ():
        session.console.say("earlier tokens that are not among these end as each machine restarts")


def _late(session: Session, before: int) -> list[str]:
    """The machines whose release is not newer: each release starts with the secrets that there are."""
    return [each.id for each in session.status().machines if each.release <= before]


def _changed(before: Sequence[Secret], after: Sequence[Secret], new: New) -> list[str]:
    then, now = ledger.digests(before), ledger.digests(after)
    return [name for name in new.secrets if now.get(name) != then.get(name)]
