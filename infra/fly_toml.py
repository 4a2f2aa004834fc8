"""fly.toml: read, checked for what flyctl lets pass, and edited without losing its comments."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import regions
from infra.fly import wrong_use

NAME = "fly.toml"
LONGEST_KILL_SECONDS = 300
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


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
    def strategy(self) -> str:
        """How deployments go on."""
        return str(self.values.get("deploy", {}).get("strategy", "rolling"))


def read(folder: Path) -> FlyToml:
    """fly.toml of a folder; raises the exception for wrong use where it cannot be read."""
    path = folder / NAME
    try:
        return FlyToml(path, tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return FlyToml(path, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise wrong_use(f"{NAME} cannot be read: {problem}") from None


def problems(config: FlyToml, drain_seconds: float, total_seconds: float, max_streams: int) -> list[str]:
    """What would cut streams or never become healthy, though flyctl accepts it. Times are the service's, in seconds."""
    if not config.values:
        return [f"there is no {NAME} here"]
    service, env = config.service, config.values.get("env", {})
    kill = duration(config.values.get("kill_timeout", "5s"))
    limits = service.get("concurrency", {})
    options = service.get("http_options", {})
    wait = duration(config.values.get("deploy", {}).get("wait_timeout", "5m"))
    found = {
        regions.problem(config.region): bool(regions.problem(config.region)),
        "kill_signal is not SIGTERM, so that nothing drains": config.values.get("kill_signal") != "SIGTERM",
        f"kill_timeout is above Fly's {LONGEST_KILL_SECONDS} s": kill > LONGEST_KILL_SECONDS,
        f"kill_timeout ({kill:g} s) is not above DRAIN_TIMEOUT ({drain_seconds:g} s)": kill <= drain_seconds,
        f"deploy.wait_timeout ({wait:g} s) is not above kill_timeout ({kill:g} s)": wait <= kill,
        "http_service.internal_port is not env.PORT": service.get("internal_port") != int(env.get("PORT", 8080)),
        "http_service has no check of /ready": "/ready" not in [each.get("path") for each in service.get("checks", [])],
        "http_service.concurrency.type is not requests": limits.get("type") != "requests",
        f"http_service.concurrency.hard_limit is above MAX_STREAMS ({max_streams})": (
            limits.get("hard_limit", 0) > max_streams
        ),
        "http_service.concurrency.soft_limit is above hard_limit": (
            limits.get("soft_limit", 0) > limits.get("hard_limit", max_streams)
        ),
        f"http_service.http_options.idle_timeout is not above TOTAL_TIMEOUT ({total_seconds:g} s)": (
            options.get("idle_timeout", 60) <= total_seconds
        ),
        "http_service.http_options.compress is not false, which holds streams back": options.get("compress")
        is not False,
        "[[vm]] is missing: after a scaling to 0 the size would be lost": not config.values.get("vm"),
        "env holds a secret: POE_API_KEYS and ACCESS_TOKENS belong into `./dev secrets`": bool(
            {"POE_API_KEYS", "ACCESS_TOKENS"} & set(env)
        ),
    }
    return [problem for problem, is_there in found.items() if is_there]


def duration(text: object) -> float:
    """Seconds of `300s`, `5m0s`, `10m`; a bare number counts as seconds. Not a number for what is none of these."""
    if isinstance(text, (int, float)):
        return float(text)
    found = _DURATION.fullmatch(str(text))
    if found is None or not str(text):
        return float("nan")
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
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'


def write(path: Path, text: str) -> None:
    """Put the new text in the old one's place, whole or not at all; refuses what is no TOML."""
    tomllib.loads(text)
    mode = path.stat().st_mode & 0o777
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(draft).chmod(mode)
    os.replace(draft, path)
