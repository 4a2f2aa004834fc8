"""fly.toml: read, checked for what flyctl lets pass, and edited without losing its comments."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import regions, whole_file
from infra.fly import wrong_use

NAME = "fly.toml"
LONGEST_KILL_SECONDS = 300
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?")


@dataclass(frozen=True, slots=True)
class FlyToml:
    """What fly.toml says; nothing where there is none."""

    path: Path
    values: Mapping[str, Any]

    @property
    def app(self) -> str:
        """The app's name, if any."""
        return str(self.values.get("app", ""))

    @property
    def region(self) -> str:
        """The primary region, if any."""
        return str(self.values.get("primary_region", ""))

    @property
    def service(self) -> Mapping[str, Any]:
        """The table `http_service`."""
        found: Mapping[str, Any] = self.values.get("http_service", {})
        return found

    @property
    def limits(self) -> Mapping[str, Any]:
        """The table `http_service.concurrency`."""
        found: Mapping[str, Any] = self.service.get("concurrency", {})
        return found

    @property
    def env(self) -> Mapping[str, Any]:
        """The table `env`."""
        found: Mapping[str, Any] = self.values.get("env", {})
        return found

    @property
    def strategy(self) -> str:
        """How deployments go on."""
        return str(self.values.get("deploy", {}).get("strategy", "rolling"))


def read(folder: Path) -> FlyToml:
    """fly.toml of a folder; raises the exception for wrong use where it cannot be read."""
    path = folder / NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return FlyToml(path, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise wrong_use(f"{NAME} cannot be read: {problem}") from None
    if wrong := _misshapen(values):
        raise wrong_use(f"{NAME}: {wrong} is of another kind than Fly's reference says")
    return FlyToml(path, values)


def _misshapen(values: Mapping[str, Any]) -> str:
    """The first of the tables that are read here which is no table, or no list of tables; empty for none."""
    service = values.get("http_service", {})
    inner = service if isinstance(service, dict) else {}
    tables = {name: values.get(name, {}) for name in ("env", "deploy", "http_service")}
    tables |= {f"http_service.{name}": inner.get(name, {}) for name in ("concurrency", "http_options")}
    lists = {"vm": values.get("vm", []), "http_service.checks": inner.get("checks", [])}
    wrong = [name for name, found in tables.items() if not isinstance(found, dict)]
    wrong += [
        name
        for name, found in lists.items()
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found)
    ]
    return next(iter(wrong), "")


def problems(config: FlyToml, settings: Mapping[str, str]) -> list[str]:
    """What would cut streams or never become healthy, though flyctl accepts it.

    `settings` are the service's as they will be on Fly: defaults, and what `[env]` says instead.
    """
    if not config.values:
        return [f"there is no {NAME} here"]
    service, limits = config.service, config.limits
    kill, drain = duration(config.values.get("kill_timeout", "5s")), duration(settings["DRAIN_TIMEOUT"])
    wait, total = (
        duration(config.values.get("deploy", {}).get("wait_timeout", "5m")),
        duration(settings["TOTAL_TIMEOUT"]),
    )
    options = service.get("http_options", {})
    soft, hard, most = (
        number(each) for each in (limits.get("soft_limit", 20), limits.get("hard_limit", 0), settings["MAX_STREAMS"])
    )
    paths = [each.get("path") for each in service.get("checks", [])]
    # What is no number or no time makes a comparison false, so that it has to be asked for the good case.
    found = {
        regions.problem(config.region): bool(regions.problem(config.region)),
        "kill_signal is not SIGTERM, so that nothing drains": config.values.get("kill_signal") != "SIGTERM",
        f"kill_timeout is above Fly's {LONGEST_KILL_SECONDS} s": not kill <= LONGEST_KILL_SECONDS,
        f"kill_timeout ({kill:g} s) is not above DRAIN_TIMEOUT ({drain:g} s)": not kill > drain,
        f"deploy.wait_timeout ({wait:g} s) is not above kill_timeout ({kill:g} s)": not wait > kill,
        "http_service.internal_port is not env.PORT": str(service.get("internal_port")) != settings["PORT"],
        "http_service has no check of /ready": "/ready" not in paths,
        "http_service.concurrency.type is not requests": limits.get("type") != "requests",
        f"http_service.concurrency.hard_limit is above MAX_STREAMS ({most:g})": not hard <= most,
        "http_service.concurrency.soft_limit is above hard_limit": not soft <= (hard or most),
        f"http_service.http_options.idle_timeout is not above TOTAL_TIMEOUT ({total:g} s)": (
            not number(options.get("idle_timeout", 60)) > total
        ),
        "http_service.http_options.compress is not false, which holds streams back": options.get("compress")
        is not False,
        "http_service.min_machines_running is below 1: the last machine is stopped, and a quiet stream with it": (
            service.get("auto_stop_machines", "off") not in ("off", False)
            and not number(service.get("min_machines_running", 0)) >= 1
        ),
        "[[vm]] is missing: after a scaling to 0 the size would be lost": not config.values.get("vm"),
        "env holds a secret: POE_API_KEYS and ACCESS_TOKENS belong into `./dev secrets`": bool(
            {"POE_API_KEYS", "ACCESS_TOKENS"} & set(config.env)
        ),
    }
    return [problem for problem, is_there in found.items() if is_there]


def number(value: object) -> float:
    """The number that stands there; not a number for anything else."""
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def duration(text: object) -> float:
    """Seconds of `300s`, `5m0s`, `10m`; a bare number counts as seconds. Not a number for what is none of these."""
    if not math.isnan(seconds := number(text)):
        return seconds
    found = _DURATION.fullmatch(str(text))
    if found is None or not str(text):
        return math.nan
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def edited(text: str, table: str, key: str, value: object) -> str:
    """The file's text with `key` of `table` (`""`: the top, `[[vm]]` style: its first) set, or taken out for None.

    Only the one line changes; a key that is new goes to the end of its table. Raises `ValueError` without the table.
    """
    lines = text.splitlines()
    first, last = _extent(lines, table)
    place = next((at for at in range(first, last) if re.match(rf"\s*{re.escape(key)}\s*=", lines[at])), None)
    if value is None:
        if place is not None:
            del lines[place]
    elif place is not None:
        comment = re.search(r"\s+#[^\"']*$", lines[place])
        lines[place] = f"{key} = {_written(value)}{comment[0] if comment else ''}"
    else:
        while last > first and not lines[last - 1].strip():
            last -= 1
        lines.insert(last, f"{key} = {_written(value)}")
    return "\n".join(lines) + "\n"


def _extent(lines: list[str], table: str) -> tuple[int, int]:
    """The lines of a table, from behind its head to before the next one."""
    heads = [at for at, line in enumerate(lines) if re.match(r"\s*\[", line)]
    if not table:
        return 0, heads[0] if heads else len(lines)
    named = re.compile(rf"\s*\[\[?{re.escape(table)}\]\]?\s*(?:#.*)?$")
    start = next((at for at in heads if named.match(lines[at])), None)
    if start is None:
        raise ValueError(f"{NAME} has no table {table}")
    return start + 1, next((at for at in heads if at > start), len(lines))


def _written(value: object) -> str:
    return shown(value) if isinstance(value, int) else f'"{value}"'


def shown(value: object) -> str:
    """A value as TOML spells it, strings without their quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def write(path: Path, text: str) -> None:
    """Put the new text in the old one's place, whole or not at all; refuses what is no TOML."""
    tomllib.loads(text)
    whole_file.write(path, text)
