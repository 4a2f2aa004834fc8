"""The app on Fly: what runs, what ran, what it says, where it is, and its end."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from invoke import Exit

from infra import environ, process, shapes
from infra.fly import FlyError, json_values, wrong_use
from infra.fly_task import fly_task
from infra.record import FOLDER, Record
from infra.refusal import Refusal
from infra.session import Session
from infra.shapes import Machine
from infra.task import INTERRUPTED

LOG_SECONDS = 15.0
BROWSER_SECONDS = 10.0
FOLLOW_SECONDS = 12 * 3600.0
ENTRY = ("timestamp", "region", "instance", "level", "message")


@fly_task()
def status(session: Session) -> dict[str, Any]:
    """The app, its release and its machines with their checks.

    Runs: flyctl status
    """
    found = session.status()
    session.console.line(f"{found.name} ({found.organization}) · https://{found.hostname} · v{found.version}")
    session.console.table(
        ("MACHINE", "REGION", "STATE", "CHECKS", "SIZE", "IMAGE"),
        [
            (each.id, each.region, each.state, checks_of(each), f"{each.size} {each.memory} MB", each.image)
            for each in found.machines
        ],
        "no machine yet; `./dev setup` or `./dev deploy` makes one",
    )
    return {
        "app": found.name,
        "organization": found.organization,
        "url": f"https://{found.hostname}",
        "version": found.version,
        "machines": [machine_row(each) for each in found.machines],
    }


@fly_task()
def releases(session: Session) -> list[dict[str, Any]]:
    """The last 25 releases; `./dev rollback --to vN` goes back to one.

    Runs: flyctl releases
    """
    found = shapes.releases(session.fly.json("releases", app=session.app))
    session.console.table(
        ("RELEASE", "STATUS", "WHEN", "BY", "IMAGE"),
        [(f"v{each.version}", each.status, each.created, each.user, each.image or "–") for each in found],
        "no release yet",
    )
    return [
        {"version": each.version, "status": each.status, "created": each.created, "by": each.user, "image": each.image}
        for each in found
    ]


@fly_task(help={"follow": "go on with what comes, until Ctrl-C"})
def logs(session: Session, follow: bool = False) -> list[dict[str, Any]]:
    """What the machines said lately, oldest first.

    Runs: flyctl logs --no-tail, with --follow flyctl logs
    """
    if follow and session.as_json:
        raise wrong_use("--follow goes on without an end, and --json answers with one value: leave one of them out")
    if follow:
        _follow(session)
        return []
    try:
        found = [{key: each.get(key, "") for key in ENTRY} for each in json_values(_lately(session))]
    except (ValueError, AttributeError):
        raise FlyError(Refusal.OTHER, "flyctl logs printed something else than a log; is it too old?") from None
    for each in found:
        session.console.line(" ".join(str(each[key]) for key in ENTRY if key != "level"))
    if not found:
        session.console.line("the machines said nothing lately")
    return found


def _follow(session: Session) -> None:
    if session.dry_run:
        session.console.note(shlex.join(session.fly.argv("logs", app=session.app)))
        return
    unread = False

    def hear(line: str) -> None:
        nonlocal unread
        try:
            session.console.line(line)
        except BrokenPipeError:
            unread = True
            raise

    try:
        session.fly.stream("logs", hear, app=session.app, seconds=FOLLOW_SECONDS)
    except KeyboardInterrupt:
        raise Exit(None, code=INTERRUPTED) from None  # as it was meant to end
    except FlyError:
        if unread:
            raise BrokenPipeError from None
        raise


def _lately(session: Session) -> str:
    try:
        return session.fly.text("logs", "--no-tail", "--json", app=session.app, seconds=LOG_SECONDS)
    except FlyError as failed:
        if failed.refusal is Refusal.TIMEOUT:  # flyctl waits for the first entry of a silent app
            return ""
        raise


@fly_task(name="open")
def open_app(session: Session) -> dict[str, str]:
    """Show where the app is, and open it in a browser where there is one.

    Runs: nothing of flyctl
    """
    session.console.line(session.url)
    if session.console.shows and session.console.on_terminal:
        # In a program of its own: a browser would inherit this shell's keys and tokens.
        opener = [sys.executable, "-m", "webbrowser", session.url]
        process.run(opener, environ=environ.for_browser(os.environ), seconds=BROWSER_SECONDS, grace=0.2)
    return {"url": session.url, "dashboard": f"https://fly.io/apps/{session.app}"}


@fly_task()
def ips(session: Session) -> list[dict[str, str]]:
    """The app's addresses.

    Runs: flyctl ips list
    """
    found = shapes.addresses(session.fly.json("ips list", app=session.app))
    session.console.table(
        ("ADDRESS", "KIND", "REGION"),
        [(each.address, each.kind, each.region) for each in found],
        "no address; `./dev setup` allocates a shared IPv4 and an IPv6",
    )
    return [{"address": each.address, "kind": each.kind, "region": each.region} for each in found]


@fly_task()
def destroy(session: Session) -> dict[str, str]:
    """Remove the app with everything in it, for good; asks for its name.

    Without a terminal the name has to stand in --app, beside --yes. What GitHub, Grafana and the DNS know of the app
    stays; what is remembered of it here goes with it.
    Runs: flyctl status · apps destroy
    """
    name = session.app
    if session.yes:
        if session.given_app != name:
            raise wrong_use(f"with --yes the name has to be said: --app {name}")
    else:
        typed = (
            session.console.ask(
                f"This removes {name} with its machines, secrets and certificates. Type its name",
                otherwise=f"give --app {name} --yes to destroy it without a question",
            )
            if not session.dry_run
            else name
        )
        if typed != name:
            raise wrong_use("that is another name; nothing was changed")
    with session.alone():
        try:
            session.fly.json("status", app=name)
        except FlyError as failed:
            if failed.refusal is not Refusal.NO_APP:
                raise
            raise FlyError(failed.refusal, f"there is no app {name}, or not for this login{_kept(session)}") from None
        environment = session.drawer.record().environment
        session.fly.text("apps destroy", name, "--yes")
        if not session.dry_run:
            session.drawer.forget()
        session.done("destroy", f"{name} is gone")
        if environment and not session.dry_run:
            session.console.say(
                f"GitHub's environment {environment} still has its secrets; "
                f"`gh secret delete FLY_API_TOKEN --env {environment}` ends deployments from there"
            )
    return {"destroyed": name}


def _kept(session: Session) -> str:
    """What to do with the files of an app that an earlier run removed without hearing of it; empty for none."""
    if session.drawer.record() == Record() and not session.drawer.access_token():
        return ""
    return f"; if it is gone for good: rm {FOLDER}/{session.app}.*"


def checks_of(machine: Machine) -> str:
    """How many of a machine's checks pass: `2/2`."""
    passing = [each for each in machine.checks if each.status == "passing"]
    return f"{len(passing)}/{len(machine.checks)}"


def machine_row(machine: Machine) -> dict[str, Any]:
    """A machine for `--json`."""
    return {
        "id": machine.id,
        "region": machine.region,
        "state": machine.state,
        "healthy": machine.healthy,
        "checks": {each.name: each.status for each in machine.checks},
        "size": machine.size,
        "memory_mb": machine.memory,
        "image": machine.image,
        "release": machine.release,
    }
