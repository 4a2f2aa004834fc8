"""Size and number of machines, where they are, and how much load Fly gives each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from invoke import Exit

from infra import fly_toml, shapes
from infra import regions as all_regions
from infra.fly import FlyError, wrong_use
from infra.fly_task import fly_task
from infra.plural import counted
from infra.session import Session, quoted
from infra.task import ExitCode

GROUP = "app"
MOST_MACHINES = 50
# Presets: the least memory in MB, and the most, for each size.
SIZES: Mapping[str, tuple[int, int]] = {
    **{f"shared-cpu-{cpus}x": (256 * cpus, 2048 * cpus) for cpus in (1, 2, 4, 6, 8)},
    **{f"performance-{cpus}x": (2048 * cpus, 8192 * cpus) for cpus in (1, 2, 4, 6, 8, 10, 12, 14, 16)},
}


@fly_task(name="show")
def show(session: Session) -> dict[str, Any]:
    """How many machines there are, of what size, where, and the load Fly gives each.

    Runs: flyctl scale show
    """
    groups = shapes.groups(session.fly.json("scale show", app=session.app))
    session.console.table(
        ("GROUP", "MACHINES", "MEMORY", "REGIONS"),
        [(each.name, each.count, f"{each.memory} MB", _places(each.regions)) for each in groups],
        "no machine yet",
    )
    told = service_of(session)
    session.console.line()
    session.console.table(("IN FLY.TOML", "VALUE"), [(name, fly_toml.shown(value)) for name, value in told.items()])
    return {
        "groups": [
            {"name": each.name, "machines": each.count, "memory_mb": each.memory, "regions": dict(each.regions)}
            for each in groups
        ],
        "fly_toml": told,
    }


@fly_task(name="count", help={"machines": "N: how many machines, in the regions that have some"})
def count(session: Session, machines: int = 0) -> dict[str, Any]:
    """Set the number of machines, spread over the regions there are. Limits and key states are each machine's own.

    Fewer is asked about first: Fly cuts the streams of a machine that is taken away. None at all: `./dev destroy`.
    Runs: flyctl scale show · scale count · scale show, once for each region that changes
    """
    if not 1 <= machines <= MOST_MACHINES:
        raise wrong_use(f"--machines N is missing or not from 1 to {MOST_MACHINES}")
    with session.alone():
        now = regions_now(session)
        where = sorted(now, key=lambda region: (-now[region], region)) or [session.config.region]
        wanted = shares(machines, where)
        _confirm_fewer(session, now, wanted)
        return spread(session, now, wanted)


@fly_task(name="regions", help={"regions": "LIST: the regions, separated by commas; none else keeps machines"})
def move(session: Session, regions: str = "") -> dict[str, Any]:
    """Have machines in these regions and nowhere else, at least one in each.

    What is taken away is asked about first: Fly cuts the streams of such a machine.
    Runs: flyctl scale show · scale count · scale show, once for each region that changes
    """
    wanted = checked_regions(regions)
    with session.alone():
        now = regions_now(session)
        total = max(sum(now.values()), len(wanted))
        gone = [region for region in now if region not in wanted]
        after = {**dict.fromkeys(gone, 0), **shares(total, wanted)}
        _confirm_fewer(session, now, after)
        return spread(session, now, after)


@fly_task(
    name="vm",
    help={"size": "S: like shared-cpu-2x", "memory": "MB: memory of each machine; without it the size's least"},
)
def vm(session: Session, size: str = "", memory: int = 0) -> dict[str, Any]:
    """Set the size of the machines, in fly.toml and now; they restart one by one.

    Runs: flyctl scale vm
    """
    if not size and not memory:
        raise wrong_use("nothing to change: give --size or --memory")
    size = size or str((session.config.values.get("vm") or [{}])[0].get("size", ""))
    if size not in SIZES:
        raise wrong_use(f"--size {quoted(size)} is none of {', '.join(SIZES)}")
    least, most = SIZES[size]
    memory = memory or least
    if not least <= memory <= most or memory % 256:
        raise wrong_use(f"--memory {memory} is not from {least} to {most} in steps of 256, which {size} takes")
    if not session.console.confirm(
        f"Restart the machines of {session.app} as {size} with {memory} MB?", yes=session.yes
    ):
        raise wrong_use("nothing was changed")
    with session.alone():
        edit(session, [("vm", "size", size), ("vm", "memory", f"{memory}mb")])
        session.done("fly.toml", f"[[vm]] is {size} with {memory} MB; commit it")
        try:
            with session.console.progress(f"restarting the machines as {size} with {memory} MB"):
                session.fly.text("scale vm", size, f"--vm-memory={memory}", app=session.app)
        except FlyError as failed:
            raise FlyError(failed.refusal, f"{failed.message} (fly.toml has the new size already)") from None
        session.done("scale", f"{size} with {memory} MB; `./dev doctor` calls it drift until the next `./dev deploy`")
    return {"size": size, "memory_mb": memory}


@fly_task(
    name="auto",
    help={
        "min": "N: stop quiet machines but for N (at least 1) in the primary region; `off` lets all run",
        "soft": "N: open requests from which Fly prefers another machine",
        "hard": "N: open requests from which Fly sends a machine no more",
    },
)
def auto(session: Session, min: str = "", soft: int = 0, hard: int = 0) -> dict[str, Any]:
    """Set what Fly scales by, in fly.toml; `./dev deploy` puts it in force.

    Fly may stop a machine that still holds a quiet stream below the soft limit: the stream gets kill_timeout to end.
    Runs: nothing of flyctl
    """
    changes = [*_auto_changes(min), *_limit_changes(session, soft, hard)]
    if not changes:
        raise wrong_use("nothing to change: give --min, --soft or --hard")
    edit(session, changes)
    told = service_of(session)
    values = ", ".join(f"{name} {fly_toml.shown(value)}" for name, value in told.items())
    session.done("fly.toml", f"{values}; commit it, and `./dev deploy` puts it in force")
    return told


def regions_now(session: Session) -> dict[str, int]:
    """How many machines the service has in which region."""
    groups = shapes.groups(session.fly.json("scale show", app=session.app))
    found = next((each.regions for each in groups if each.name == GROUP), {})
    if not any(found.values()) and not session.dry_run:
        raise Exit(f"nothing of {session.app} runs yet; `./dev deploy` starts it", code=int(ExitCode.NOT_SET_UP))
    return {region: number for region, number in found.items() if number}


def shares(total: int, where: Sequence[str]) -> dict[str, int]:
    """So many machines for each region that all have about the same; the first ones have one more."""
    least, rest = divmod(total, len(where))
    return {region: least + (place < rest) for place, region in enumerate(where)}


def _confirm_fewer(session: Session, now: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    fewer = {region: number - wanted.get(region, 0) for region, number in now.items() if number > wanted.get(region, 0)}
    question = f"Take machines away ({_places(fewer)}), which cuts their open streams at once?"
    if fewer and not session.console.confirm(question, yes=session.yes):
        raise wrong_use("nothing was changed")


def spread(session: Session, now: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, Any]:
    """Make the numbers so, one region a call: given several, flyctl fills the first one. More first, then fewer."""
    changes = {region: number for region, number in wanted.items() if number != now.get(region, 0)}
    for region, number in sorted(changes.items(), key=lambda change: change[1] < now.get(change[0], 0)):
        with session.console.progress(f"{region}: {counted(number, 'machine')}"):
            session.fly.text("scale count", str(number), f"--region={region}", "--yes", app=session.app)
    if session.dry_run:
        return {}
    after = regions_now(session) if changes else dict(now)
    if after != {region: number for region, number in wanted.items() if number}:
        raise Exit(
            f"Fly made something else of it: {_places(after) or 'no machine'} instead of {_places(wanted)}",
            code=int(ExitCode.DRIFT),
        )
    session.done("scale", _places(after) if changes else f"nothing to do: {_places(after)}")
    return {"regions": after, "machines": sum(after.values())}


def checked_regions(text: str) -> list[str]:
    """The codes of a list, each once; refuses unknown and retired ones."""
    found = list(dict.fromkeys(re.findall(r"[^\s,]+", text.lower())))
    if not found:
        raise wrong_use("--regions LIST is missing: like nrt,sin")
    for problem in filter(None, map(all_regions.problem, found)):
        raise wrong_use(problem)
    return found


def service_of(session: Session) -> dict[str, Any]:
    """What fly.toml says about load and rest."""
    told, limits = session.config.service, session.config.limits
    return {
        "auto_stop_machines": told.get("auto_stop_machines", "off"),
        "auto_start_machines": told.get("auto_start_machines", True),
        "min_machines_running": told.get("min_machines_running", 0),
        "soft_limit": limits.get("soft_limit", 20),
        "hard_limit": limits.get("hard_limit", "none"),
    }


def edit(session: Session, changes: Sequence[tuple[str, str, object]]) -> None:
    """Set keys of tables in fly.toml, and read it anew; a dry run only says so."""
    path = session.config.path
    if not session.config.values:
        raise wrong_use("there is no fly.toml here")
    text = path.read_text("utf-8")
    try:
        for table, key, value in changes:
            text = fly_toml.edited(text, table, key, value)
    except ValueError as problem:
        raise wrong_use(str(problem)) from None
    if session.dry_run:
        session.console.say(
            f"would set in fly.toml: {', '.join(f'{table}.{key} = {value}' for table, key, value in changes)}"
        )
        return
    fly_toml.write(path, text)
    del session.config


def _auto_changes(least: str) -> list[tuple[str, str, object]]:
    table = "http_service"
    if not least:
        return []
    if least == "off":
        return [
            (table, "auto_stop_machines", "off"),
            (table, "auto_start_machines", True),  # else those that are stopped now would never run again
            (table, "min_machines_running", None),
        ]
    if not least.isdecimal() or int(least) > MOST_MACHINES:
        raise wrong_use(f"--min {quoted(least)} is neither off nor a number up to {MOST_MACHINES}")
    if int(least) == 0:
        raise wrong_use(
            "--min 0 would stop the last machine: a quiet stream is cut, no deployment can be tested, and the alerts "
            "take the silence for an outage; --min 1 keeps one"
        )
    return [
        (table, "auto_stop_machines", "stop"),
        (table, "auto_start_machines", True),
        (table, "min_machines_running", int(least)),
    ]


def _limit_changes(session: Session, soft: int, hard: int) -> list[tuple[str, str, object]]:
    limits = session.config.limits
    default = next(each.default for each in session.settings if each.name == "MAX_STREAMS")
    most = fly_toml.number(session.config.env.get("MAX_STREAMS", default))
    new_soft = soft or fly_toml.number(limits.get("soft_limit", 20))
    new_hard = hard or fly_toml.number(limits.get("hard_limit", most))
    if soft < 0 or hard < 0 or not new_soft <= new_hard <= most:
        raise wrong_use(
            f"--soft {new_soft:g} --hard {new_hard:g}: soft is at least 1 and at most hard, and hard at most "
            f"MAX_STREAMS, which is {most:g}"
        )
    given = {"soft_limit": soft, "hard_limit": hard}
    return [("http_service.concurrency", key, value) for key, value in given.items() if value]


def _places(regions: Mapping[str, int]) -> str:
    return ", ".join(f"{region} {number}" for region, number in regions.items() if number)
