"""What is wrong, and what to do about it."""

from __future__ import annotations

import math
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from invoke import Exit

from infra import certs, deploy, fly, fly_toml, http, ledger, monitor, secrets, shapes
from infra.fly import FlyError
from infra.fly_task import fly_task
from infra.plural import counted
from infra.refusal import Refusal
from infra.session import Session
from infra.shapes import Status
from infra.task import ExitCode

LARGEST_SKEW_SECONDS = 5.0
ANSWER_SECONDS = 4.0
HTTP_SECONDS = 3.0
"""Less, since a host with two addresses gets it for each."""
ALL_SECONDS = 8.5
"""After that no call is waited for any longer, whatever hangs."""
TOKEN_WARNING_DAYS = 14


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, what to do; `code` is what it means where it is not good."""

    name: str
    good: bool
    text: str
    fix: str = ""
    code: ExitCode = ExitCode.FAILED


Look = Callable[[], Finding]


@fly_task()
def doctor(session: Session) -> list[dict[str, Any]]:
    """Look at tools, login, app, secrets, addresses, certificates, health, clock, Poe and drift; say how to mend it.

    Exit 3 where something is not set up, 4 where only fly.toml and what runs differ, 1 for anything else.
    Runs: flyctl version · auth whoami · status · secrets list · ips list · certs list · tokens list · releases ·
    config show
    """
    with session.console.progress("looking"):
        found = _looked(session)
    if session.dry_run:
        return []
    for each in found:
        session.console.point("ok" if each.good else "failed", each.name, each.text, each.fix)
    answer = [{"name": each.name, "good": each.good, "text": each.text, "fix": each.fix} for each in found]
    if codes := {each.code for each in found if not each.good}:
        session.console.result(answer)
        order = (ExitCode.NOT_SET_UP, ExitCode.FAILED, ExitCode.DRIFT)
        raise Exit(None, code=int(next(code for code in order if code in codes)))
    return answer


def _looked(session: Session) -> list[Finding]:
    """First what everything else stands on, then the rest at once."""
    _ = session.app, session.settings, session.config  # read once, before threads would read them several times
    session.fly.longest, session.fly.deadline = ANSWER_SECONDS, time.monotonic() + ALL_SECONDS
    found = _all_at_once(
        session.fly.seconds_left(ANSWER_SECONDS),
        {
            "tools": lambda: _tools(session),
            "Poe": lambda: _poe(session),
            "fly.toml": lambda: _fly_toml(session),
        },
    )
    if not found[0].good:
        return found
    found.append(_caught("login", lambda: _login(session)))
    if not found[-1].good:
        return found
    seen: list[Status] = []
    found.append(_caught("app", lambda: _app(session, seen)))
    if not seen:
        return found
    (status,) = seen
    return found + _all_at_once(
        session.fly.deadline - time.monotonic(),
        {
            "secrets": lambda: _secrets(session),
            "addresses": lambda: _addresses(session),
            "certificates": lambda: _certificates(session),
            "deploy token": lambda: _tokens(session),
            "health": lambda: _health(session, status),
            "clock": lambda: _clock(session),
            "drift": lambda: _drift(session, status),
        },
    )


def _all_at_once(seconds: float, looks: Mapping[str, Look]) -> list[Finding]:
    """What each look found. One that hangs is left behind: resolving a name has no time limit of its own."""
    found: dict[str, Finding] = {}

    def look(name: str) -> None:
        found[name] = _caught(name, looks[name])

    threads = [threading.Thread(target=look, args=(name,), daemon=True) for name in looks]
    for thread in threads:
        thread.start()
    # A call of flyctl ends by itself at the same time; it says more than we could.
    deadline = time.monotonic() + seconds + 2 * fly.SHORT_GRACE_SECONDS
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return [found.get(name) or Finding(name, False, "no answer in time", "run it again") for name in looks]


def _caught(name: str, look: Look) -> Finding:
    try:
        return look()
    except FlyError as failed:
        return Finding(name, False, str(failed.message), code=ExitCode(failed.code))
    except Exit as failed:
        return Finding(name, False, str(failed.message), code=ExitCode.FAILED)
    except (LookupError, TypeError, ValueError, AttributeError) as surprise:
        return Finding(name, False, f"an answer that nobody expected ({type(surprise).__name__})", "a newer flyctl?")


def _tools(session: Session) -> Finding:
    try:
        answer = session.fly.json("version")
    except FlyError as failed:
        return Finding("tools", False, str(failed.message), code=ExitCode.NOT_SET_UP)
    if problem := fly.version_problem(answer):
        return Finding("tools", False, problem, "flyctl version upgrade", ExitCode.NOT_SET_UP)
    missing = [name for name in ("git", "gh") if shutil.which(name) is None]
    more = f"; without {' and '.join(missing)}" if missing else ""
    return Finding("tools", True, f"flyctl {answer.get('Version')}{more}")


def _login(session: Session) -> Finding:
    answer = session.fly.json("auth whoami")
    return Finding("login", True, str(answer.get("email") or answer.get("name") or "a token"))


def _app(session: Session, seen: list[Status]) -> Finding:
    """Puts the app's status into `seen`."""
    try:
        status = session.status()
    except FlyError as failed:
        fix = "./dev setup" * (failed.refusal is Refusal.NO_APP)
        return Finding("app", False, str(failed.message), fix, ExitCode(failed.code))
    seen.append(status)
    return Finding("app", True, f"{status.name} in {status.organization}, v{status.version}")


def _fly_toml(session: Session) -> Finding:
    problems = deploy.toml_problems(session)
    text = "; ".join(problems) or "good for long streams"
    return Finding("fly.toml", not problems, text, "edit fly.toml" * bool(problems))


def _secrets(session: Session) -> Finding:
    found = secrets.drift(session, ledger.listed(session))
    if not found:
        return Finding("secrets", True, "there and in use")
    text = "; ".join(f"{name} {problem}" for name, problem, _ in found)
    missing = any(problem == "is not on Fly" for _, problem, _ in found)
    return Finding("secrets", False, text, found[0][2], ExitCode.NOT_SET_UP if missing else ExitCode.DRIFT)


def _addresses(session: Session) -> Finding:
    kinds = {each.kind for each in shapes.addresses(session.fly.json("ips list", app=session.app))}
    missing = [name for name, good in (("IPv4", kinds & {"v4", "shared_v4"}), ("IPv6", kinds & {"v6"})) if not good]
    text = f"no {' and no '.join(missing)}" if missing else ", ".join(sorted(kinds))
    return Finding("addresses", not missing, text, "./dev setup" * bool(missing), ExitCode.NOT_SET_UP)


def _certificates(session: Session) -> Finding:
    found = certs.certificates(session)
    open_ = [each["hostname"] for each in found if each["status"].lower() not in ("active", "ready", "issued")]
    if open_:
        return Finding(
            "certificates", False, f"not issued for {', '.join(open_)}", f"./dev certs.check --host {open_[0]}"
        )
    return Finding("certificates", True, ", ".join(each["hostname"] for each in found) or "only Fly's own")


def _tokens(session: Session) -> Finding:
    try:
        found = shapes.tokens(session.fly.text("tokens list", app=session.app))
    except FlyError as failed:
        return Finding("deploy token", True, f"cannot be seen with this login ({failed.refusal.name.lower()})")
    alive = [each for each in found if not each.revoked]
    for each in alive:
        days = each.days_left
        if days is not None and days < TOKEN_WARNING_DAYS:
            text = f"{each.name} has ended" if days < 0 else f"{each.name} ends in {counted(round(days), 'day')}"
            ours = each.name in session.drawer.record().made
            first = "" if ours else f"renew it where it was made, or `flyctl tokens revoke {each.id}`, and "
            return Finding("deploy token", False, text, f"{first}./dev setup makes a new one")
    told = [each.name + (f" until {each.ends[:10]}" if each.days_left is not None else "") for each in alive]
    return Finding("deploy token", True, ", ".join(told) or "none")


def _health(session: Session, status: Status) -> Finding:
    seen = monitor.health(session, status, answer=session.fly.seconds_left(HTTP_SECONDS))
    problems = monitor.machine_problems(status, seen)
    lost = max((each.lost_keys for each in seen), key=len, default="")
    text = "; ".join(problems) or f"{counted(len(status.machines), 'machine')} ready{f', but {lost}' if lost else ''}"
    fix = "./dev deploy" if not status.machines else "./dev secrets" if lost else "./dev logs" if problems else ""
    code = ExitCode.FAILED if status.machines else ExitCode.NOT_SET_UP
    return Finding("health", not (problems or lost), text, fix, code)


def _clock(session: Session) -> Finding:
    url = os.environ.get("SMOKE_URL", "").rstrip("/") or session.url
    told = http.get(f"{url}/health", seconds=session.fly.seconds_left(HTTP_SECONDS)).headers.get("date", "")
    try:
        skew = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    except (ValueError, TypeError):
        return Finding("clock", True, "nothing to compare it with")
    good = abs(skew) <= LARGEST_SKEW_SECONDS
    fix = "" if good else "set this machine's clock: ends of tokens are reckoned with it"
    return Finding("clock", good, "right" if good else f"{skew:+.0f} s off", fix)


def _poe(session: Session) -> Finding:
    default = next(each.default for each in session.settings if each.name == "POE_BASE_URL")
    answer = http.get(
        f"{os.environ.get('POE_BASE_URL') or default}/v1/models", seconds=session.fly.seconds_left(HTTP_SECONDS)
    )
    good = 200 <= answer.status < 500
    fix = "Poe has trouble of its own: look again in some minutes" if answer.status else "check the network"
    return Finding("Poe", good, "answers" if good else str(answer), "" if good else fix)


def _drift(session: Session, status: Status) -> Finding:
    if not status.machines:
        return Finding("drift", True, "nothing runs yet")
    running = session.fly.json("config show", app=session.app)
    differ = differences(session.config.values, running)
    releases = shapes.releases(session.fly.json("releases", app=session.app))
    if releases and not releases[0].complete:
        differ.append(f"the newest release, v{releases[0].version}, is {releases[0].status}")
    images = {each.image for each in status.machines}
    if not shapes.agree(images):
        differ.append(f"machines run different images: {', '.join(sorted(images))}")
    text = "; ".join(differ[:6]) or "fly.toml is what runs"
    return Finding("drift", not differ, text, "./dev deploy" * bool(differ), ExitCode.DRIFT)


def differences(wanted: Mapping[str, Any], running: Mapping[str, Any], path: str = "") -> list[str]:
    """Where what runs is not what fly.toml says. What fly.toml leaves out is Fly's to choose."""
    found: list[str] = []
    for key, value in wanted.items():
        name = f"{path}{key}"
        if name in ("app", "build", "deploy"):
            continue  # the name may come from --app, the image and the strategy from the command line
        other = running.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            found += differences(value, other, f"{name}.")
        elif (mine := _tables(value)) and (its := _tables(other)) and len(mine) == len(its):
            for one, another in zip(mine, its, strict=True):
                found += differences(one, another, f"{name}.")
        elif not _alike(value, other):
            found.append(f"{name} is {_brief(other)}, and {_brief(value)} in fly.toml")
    return found


def _tables(value: object) -> list[Mapping[str, Any]]:
    return value if isinstance(value, list) and all(isinstance(each, Mapping) for each in value) else []


def _alike(mine: object, its: object) -> bool:
    """Whether two values mean the same: durations, sizes and the two spellings of autostop."""
    spellings: dict[object, object] = {False: "off", True: "stop"}
    for one, other in ((mine, its), (its, mine)):
        if isinstance(one, bool) and isinstance(other, str):
            return spellings[one] == other
    if mine == its:
        return True
    both = [_seconds_or_megabytes(each) for each in (mine, its)]
    return not any(map(math.isnan, both)) and both[0] == both[1]


def _seconds_or_megabytes(value: object) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    found = re.fullmatch(r"(\d+)\s*(mb|gb)", str(value), re.IGNORECASE)
    if found:
        return float(found[1]) * (1024 if found[2].lower() == "gb" else 1)
    return fly_toml.duration(value)


def _brief(value: object) -> str:
    text = "not set" if value is None else fly_toml.shown(value)
    return text if len(text) <= 60 else text[:60] + "…"
