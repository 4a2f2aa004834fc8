"""What served before a deployment: remembered, on disk too, until the new release is tested or undone.

A release that went through at Fly and whose test was cut short must not pass for the one to go back to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import shapes
from infra.session import Session
from infra.shapes import Machine, Release


@dataclass(frozen=True, slots=True)
class Before:
    """The release to go back to, if any, its configuration, the machines as they are, the releases that Fly lists.

    `tried` are the images put in its place since and not seen at work; `goal` is the number of the release that a
    `rollback` was on its way to, 0 for none.
    """

    release: Release | None
    config: str
    machines: tuple[Machine, ...]
    listed: tuple[Release, ...] = ()
    tried: tuple[str, ...] = ()
    goal: int = 0

    @property
    def newest(self) -> int:
        """The number of the newest release that a machine is of."""
        return max((each.release for each in self.machines), default=0)

    def serves(self, machines: Sequence[Machine]) -> bool:
        """Whether all these machines run its image."""
        return self.release is not None and all(shapes.same_image(self.release.image, each.image) for each in machines)


def look(session: Session, machines: Sequence[Machine]) -> Before:
    """What serves, or what did before a deployment that nobody saw the end of."""
    if not machines:
        return Before(None, "", ())
    listed = shapes.releases(session.fly.json("releases", app=session.app))
    if (kept := _kept(session, listed, machines)) is not None:
        return kept
    release = _serving(listed, machines)
    config = session.fly.text("config show", app=session.app) if release is not None else ""
    return Before(release, config, tuple(machines), listed)


def keep(session: Session, before: Before, image: str, goal: int = 0) -> None:
    """Remember it while this image takes its place."""
    if before.release is None or session.dry_run:
        return
    tried = list(dict.fromkeys([*before.tried, image]))
    kept = {"version": before.release.version, "config": before.config, "tried": tried, "goal": goal}
    session.drawer.keep_before(json.dumps(kept))


def is_untested(session: Session, listed: Sequence[Release]) -> bool:
    """Whether the newest release is one whose test was cut short."""
    kept = _kept(session, listed, ())
    return kept is not None and kept.release is not None and listed[0].version > kept.release.version


def configuration(before: Before, folder: Path) -> list[str]:
    """The earlier configuration as a flag with a file in `folder`: what failed may be today's fly.toml."""
    try:
        values = json.loads(before.config)
    except ValueError:
        return []
    path = folder / "fly.json"
    path.write_text(json.dumps(values), "utf-8")
    return [f"--config={path}"]


def _kept(session: Session, listed: Sequence[Release], machines: Sequence[Machine]) -> Before | None:
    """What is remembered; None where nothing is, or where somebody else has deployed another image since."""
    try:
        kept = json.loads(session.drawer.before() or "{}")
        release = next(each for each in listed if each.version == kept["version"] and each.image)
        config, tried, goal = str(kept["config"]), tuple(map(str, kept["tried"])), int(kept["goal"])
    except (ValueError, KeyError, TypeError, StopIteration):
        return None
    since = [each for each in listed if each.version > release.version]
    if not all(_is_one_of(each.image, (release.image, *tried)) for each in since):
        return None
    return Before(release, config, tuple(machines), tuple(listed), tried, goal)


def _serving(listed: Sequence[Release], machines: Sequence[Machine]) -> Release | None:
    """The newest release that went through and that a machine runs; a failed one before us may have left a mix."""
    through = [each for each in listed if each.complete and each.image]
    served = (each for each in through if _is_one_of(each.image, [machine.image for machine in machines]))
    return next(served, None) or next(iter(through), None)


def _is_one_of(image: str, others: Sequence[str]) -> bool:
    return any(shapes.same_image(image, other) for other in others)
