"""Certificates for host names of one's own, with the DNS records that are still missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from invoke import Exit

from infra.fly import FlyError, wrong_use
from infra.fly_task import fly_task
from infra.refusal import Refusal
from infra.session import Session, quoted
from infra.task import ExitCode

HOST_HELP = {"host": "HOST: a host name like api.example.com"}
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dns:
    """A DNS record that should be there."""

    kind: str
    name: str
    value: str


@fly_task(name="list")
def list_certs(session: Session) -> list[dict[str, Any]]:
    """The host names with their certificates.

    Runs: flyctl certs list
    """
    found = certificates(session)
    session.console.table(
        ("HOST", "STATUS", "DNS"),
        [(each["hostname"], each["status"], "ok" if each["configured"] else "incomplete") for each in found],
        f"no host name of your own; the app answers at {session.url}",
    )
    return found


@fly_task(name="add", help=HOST_HELP)
def add(session: Session, host: str = "") -> dict[str, Any]:
    """Ask Fly for a certificate, and print the DNS records to make.

    Runs: flyctl certs list · certs add
    """
    host = checked_host(host)
    return ensure(session, host, hosts(session)) or {}


@fly_task(name="check", help={"host": "HOST: one host name; without it all of them"})
def check(session: Session, host: str = "") -> list[dict[str, Any]]:
    """Let Fly look again, and print the DNS records still missing; exit 4 where a certificate is not there yet.

    Runs: flyctl certs list · certs check
    """
    wanted = [checked_host(host)] if host else sorted(hosts(session))
    if not wanted:
        session.console.line(f"no host name of your own; the app answers at {session.url}")
    found = [answer for each in wanted if (answer := looked_up(session, each)) is not None]
    for answer in found:
        show(session, answer)
    if any(not is_issued(answer) for answer in found):
        session.console.result([summary(answer) for answer in found])
        raise Exit(None, code=int(ExitCode.DRIFT))
    return [summary(answer) for answer in found]


@fly_task(name="remove", help=HOST_HELP)
def remove(session: Session, host: str = "") -> dict[str, str]:
    """Give a host name and its certificate up.

    Runs: flyctl certs list · certs remove
    """
    host = checked_host(host)
    if host not in hosts(session):
        session.console.line(f"{session.app} has no certificate for {host}")
        return {"removed": ""}
    if not session.console.confirm(f"Give up {host}, and refuse callers who use it?", yes=session.yes):
        raise wrong_use("nothing was changed")
    session.fly.text("certs remove", host, "--yes", app=session.app)
    session.done("certs", f"{host} is removed; its DNS records are yours to take away")
    return {"removed": host}


def certificates(session: Session) -> list[dict[str, Any]]:
    """All host names, by `flyctl certs list`."""
    return [
        {
            "hostname": str(each["hostname"]),
            "status": str(each.get("status", "")),
            "configured": bool(each.get("configured")),
        }
        for each in session.fly.json("certs list", app=session.app) or ()
    ]


def hosts(session: Session) -> frozenset[str]:
    """The names that certificates were asked for."""
    return frozenset(each["hostname"] for each in certificates(session))


def ensure(session: Session, host: str, known: Collection[str]) -> dict[str, Any] | None:
    """Have a certificate asked for, once (`known` are the names that have been); None in a dry run."""
    asked = host in known
    answer = looked_up(session, host) if asked else session.fly.json("certs add", host, app=session.app)
    if answer is None:
        return None
    session.done("certs", f"a certificate for {host} {'was asked for before' if asked else 'is asked for'}")
    show(session, answer)
    return summary(answer)


def looked_up(session: Session, host: str) -> Mapping[str, Any] | None:
    """What Fly says of one host name after another look; None in a dry run."""
    try:
        answer: Mapping[str, Any] | None = session.fly.json("certs check", host, app=session.app)
    except FlyError as failed:
        if failed.refusal is not Refusal.NO_APP and "not found" in str(failed.message).lower():
            raise Exit(
                f"{session.app} has no certificate for {host}; `./dev certs.add --host {host}` asks for one",
                code=int(ExitCode.NOT_SET_UP),
            ) from None
        raise
    return answer


def is_issued(answer: Mapping[str, Any]) -> bool:
    """Whether a certificate is there to be shown; flyctl exits 0 either way."""
    return any(each.get("status") == "active" for each in answer.get("certificates") or ())


def ends(answer: Mapping[str, Any]) -> str:
    """When the first of the active certificates ends, in ISO 8601; empty where Fly does not say."""
    active = [each for each in answer.get("certificates") or () if each.get("status") == "active"]
    return min((str(each["expires_at"]) for one in active for each in one.get("issued") or ()), default="")


def missing(answer: Mapping[str, Any]) -> list[Dns]:
    """The DNS records that Fly wants and does not see yet."""
    host = str(answer.get("hostname", ""))
    wanted, seen = answer.get("dns_requirements") or {}, answer.get("dns_records") or {}
    found: list[Dns] = []
    alias = str(wanted.get("cname") or "").rstrip(".")
    if alias not in [str(each).rstrip(".") for each in seen.get("cname") or ()] or not alias:
        resolved = set(seen.get("resolved_addresses") or ())
        for kind in ("a", "aaaa"):
            there = {*(seen.get(kind) or ()), *resolved}
            found += [Dns(kind.upper(), host, each) for each in wanted.get(kind) or () if each not in there]
    ownership = wanted.get("ownership") or {}
    proof = str(ownership.get("app_value") or "")
    if proof and answer.get("status") == "pending_ownership" and proof not in str(seen.get("ownership_txt") or ""):
        found.append(Dns("TXT", str(ownership.get("name")), proof))
    challenge = wanted.get("acme_challenge") or {}
    target, there_now = (
        str(each or "").rstrip(".") for each in (challenge.get("target"), seen.get("acme_challenge_cname"))
    )
    if host.startswith("*.") and target and there_now != target:
        found.append(Dns("CNAME", str(challenge["name"]), target))
    return found


def show(session: Session, answer: Mapping[str, Any]) -> None:
    """One host name, and the records to make."""
    host = str(answer.get("hostname", ""))
    if is_issued(answer):
        end = ends(answer)
        session.console.point("ok", host, f"the certificate is there{f' until {end[:10]}' if end else ''}")
        return
    rows = [(each.kind, each.name, each.value) for each in missing(answer)]
    then = f"make these DNS records, then `./dev certs.check --host {host}`"
    if not rows:
        then = f"all DNS records are there; give it some minutes, then `./dev certs.check --host {host}`"
    session.console.point("open", host, str(answer.get("status") or "not issued yet"), then)
    if rows:
        session.console.table(("KIND", "NAME", "VALUE"), rows)
    alias = (answer.get("dns_requirements") or {}).get("cname")
    if alias and any(kind in ("A", "AAAA") for kind, _, _ in rows):
        session.console.line(f"A subdomain may have one CNAME to {alias} instead of A and AAAA.")
    for problem in answer.get("validation_errors") or ():
        session.console.point("failed", host, str(problem.get("message", "")), str(problem.get("remediation") or ""))


def summary(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A host name for `--json`, and for the DNS records that Terraform makes."""
    return {
        "hostname": answer.get("hostname"),
        "status": answer.get("status"),
        "issued": is_issued(answer),
        "ends": ends(answer),
        "missing": [{"type": each.kind, "name": each.name, "value": each.value} for each in missing(answer)],
        "dns_requirements": answer.get("dns_requirements") or {},
    }


def checked_host(text: str) -> str:
    """The host name in small letters, without a dot at its end; refuses a URL, an address and what DNS would refuse."""
    host = text.strip().lower().rstrip(".")
    if not host:
        raise wrong_use("--host HOST is missing: a name like api.example.com")
    if "://" in host or "/" in host or ":" in host:
        raise wrong_use(f"--host {quoted(text)} is no host name: leave scheme, port and path out, like api.example.com")
    labels = host.removeprefix("*.").split(".")
    if (
        len(host) > 253
        or len(labels) < 2
        or not all(_LABEL.fullmatch(each) for each in labels)
        or labels[-1].isdecimal()
    ):
        raise wrong_use(f"--host {quoted(text)} is no host name like api.example.com (other scripts: as xn--…)")
    if host.endswith(".fly.dev"):
        raise wrong_use(f"{host} has a certificate of Fly's already")
    return host
