"""What flyctl's commands answer, each in a shape of ours; every reader is for one command, since no two agree.

Objects of the GraphQL API have Go's names (`ImageRef`), those of the Machines API small ones (`image_ref`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

Row = Mapping[str, Any]
_DIGEST = re.compile(r"@(sha256:[0-9a-f]+)")
"""flyctl writes the digest behind whatever it was given, and so twice where it was given one."""
_LABEL = re.compile(r"(?:[0-9a-f]{12,40}|folder)(?:-dirty)?-\d{14}", re.ASCII)
"""As `deploy` labels what it builds: commit and time."""


@dataclass(frozen=True, slots=True)
class Check:
    """A health check of a machine, as Fly saw it last."""

    name: str
    status: str
    output: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine: `image` is what it was told to run, `release` the number of the release that did.

    `rests`: Fly may stop it while there is little to do.
    """

    id: str
    state: str
    region: str
    image: str
    release: int
    checks: tuple[Check, ...]
    size: str
    memory: int
    rests: bool

    @property
    def asleep(self) -> bool:
        """Fly starts it when somebody calls."""
        return self.state in ("stopped", "suspended")

    @property
    def healthy(self) -> bool:
        """It runs, and every check of it passes."""
        return self.state == "started" and all(each.status == "passing" for each in self.checks)


@dataclass(frozen=True, slots=True)
class Status:
    """An app, by `flyctl status`. What somebody runs beside its releases (`flyctl machine run`) is left out."""

    name: str
    deployed: bool
    organization: str
    hostname: str
    version: int
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """A release; `image` is empty where Fly does not remember it."""

    version: int
    status: str
    image: str
    created: str
    user: str
    description: str

    @property
    def complete(self) -> bool:
        """It went through."""
        return self.status in ("complete", "succeeded")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's name, what Fly shows of its value, and whether machines run with it."""

    name: str
    digest: str
    status: str

    @property
    def waits(self) -> bool:
        """Some machine may run without it. flyctl reckons that by the times of value and release, or says `Unknown`."""
        return self.status.lower().startswith(("staged", "partial"))


@dataclass(frozen=True, slots=True)
class Address:
    """A public or private address of an app."""

    address: str
    kind: str
    region: str


@dataclass(frozen=True, slots=True)
class Group:
    """The machines of one process group: how many, of what size, how many in which region."""

    name: str
    count: int
    memory: int
    regions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DeployToken:
    """A token of the app, without its value; `ends` and `revoked` as flyctl writes them."""

    id: str
    name: str
    ends: str
    revoked: str

    @property
    def days_left(self) -> float | None:
        """Days until its end, of which flyctl writes `2027-01-01 00:00:00 +0000 UTC`; None where that is no time."""
        found = re.match(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", self.ends)
        if found is None:
            return None
        end = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
        return (end - datetime.now(UTC)).total_seconds() / 86_400


def status(answer: Row) -> Status:
    """`flyctl status --json`."""
    return Status(
        name=str(answer["Name"]),
        deployed=bool(answer.get("Deployed")),
        organization=str((answer.get("Organization") or {}).get("Slug", "")),
        hostname=str(answer.get("Hostname", "")),
        version=int(answer.get("Version") or 0),
        machines=tuple(found for each in answer.get("Machines") or () if (found := machine(each)).release),
    )


def machine(answer: Row) -> Machine:
    """A machine object of the Machines API."""
    config = answer.get("config") or {}
    reference = answer.get("image_ref") or {}
    metadata = config.get("metadata") or {}
    guest = config.get("guest") or {}
    found = str(metadata.get("fly_release_version", ""))
    return Machine(
        id=str(answer["id"]),
        state=str(answer.get("state", "")),
        region=str(answer.get("region", "")),
        image=str(config.get("image") or _reference(reference)),
        release=int(found) if found.isdecimal() else 0,
        checks=tuple(
            Check(str(each.get("name", "")), str(each.get("status", "")), str(each.get("output", "")))
            for each in answer.get("checks") or ()
        ),
        size=f"{guest.get('cpu_kind', '')}-cpu-{guest.get('cpus', '')}x".replace("performance-cpu", "performance"),
        memory=int(guest.get("memory_mb") or 0),
        # A word, or true and false as an earlier flyctl wrote it.
        rests=any(each.get("autostop") not in (None, False, "off") for each in config.get("services") or ()),
    )


def _reference(reference: Row) -> str:
    tag = reference.get("tag")
    return f"{reference.get('registry', '')}/{reference.get('repository', '')}" + (f":{tag}" if tag else "")


def releases(answer: list[Row]) -> tuple[Release, ...]:
    """`flyctl releases --json`, newest first."""
    found = [
        Release(
            version=int(each.get("Version") or 0),
            status=str(each.get("Status") or "").lower(),
            image=str(each.get("ImageRef") or ""),
            created=str(each.get("CreatedAt") or ""),
            user=str((each.get("User") or {}).get("Email") or ""),
            description=str(each.get("Description") or ""),
        )
        for each in answer or ()
    ]
    return tuple(sorted(found, key=lambda release: release.version, reverse=True))


def secrets(answer: list[Row]) -> tuple[Secret, ...]:
    """`flyctl secrets list --json`: small names since September 2025, Go's before."""
    return tuple(
        Secret(*(str(each.get(key) or each.get(key.capitalize()) or "") for key in ("name", "digest", "status")))
        for each in answer or ()
    )


def addresses(answer: list[Row]) -> tuple[Address, ...]:
    """`flyctl ips list --json`."""
    return tuple(
        Address(str(each["Address"]), str(each["Type"]), str(each.get("Region") or "")) for each in answer or ()
    )


def groups(answer: list[Row]) -> tuple[Group, ...]:
    """`flyctl scale show --json`."""
    return tuple(
        Group(str(each["Process"]), int(each["Count"]), int(each["Memory"]), dict(each.get("Regions") or {}))
        for each in answer or ()
    )


def organizations(answer: Row) -> Mapping[str, str]:
    """`flyctl orgs list --json`: slug → name."""
    return {str(slug): str(name) for slug, name in (answer or {}).items()}


def tokens(table: str) -> tuple[DeployToken, ...]:
    """`flyctl tokens list`, which knows no JSON: a table with bars between its cells."""
    found = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in re.split(r"[│|]", line)]
        if len(cells) >= 5 and cells[0] and cells[0] != "ID":
            found.append(DeployToken(cells[0], cells[1], cells[3], cells[4]))
    return tuple(found)


def same_image(one: str, other: str) -> bool:
    """Whether two names mean one image: by digest where both have one, else by repository and tag.

    What stands before the repository is left out: Fly pulls public images through a mirror of its own.
    """
    digests, others = ({*_DIGEST.findall(each)} for each in (one, other))
    if digests and others:
        return bool(digests & others)
    name, other_name = (each.partition("@")[0] for each in (one, other))
    return bool(name) and _short(name) == _short(other_name)


def agree(images: Iterable[str]) -> bool:
    """Whether all these names mean one image: the machine that a release made first may name the digest as well."""
    return all(same_image(one, other) for one, other in combinations(set(images), 2))


def is_another_build(image: str, built: str) -> bool:
    """Whether an image is for sure not the one that was built as `built`, `REGISTRY/APP:LABEL`.

    That is known where it has another label of ours in the same repository. Whatever else Fly may write instead, a
    digest alone or a label that is not ours, says nothing against it.
    """
    names = (_short(each.partition("@")[0]) for each in (image, built))
    (repository, _, label), (own, _, wanted) = (name.partition(":") for name in names)
    return repository == own and label != wanted and _LABEL.fullmatch(label) is not None


def _short(name: str) -> str:
    last = name.rpartition("/")[2]
    return last if ":" in last else f"{last}:latest"
