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
    """The release to go back to, if any, its configuration, the machines as they are, the newest release's number."""

    release: Release | None
    config: str
    machines: tuple[Machine, ...]
    newest: int = 0

    def serves(self, machines: Sequence[Machine]) -> bool:
        """Whether all these machines run its image."""
        return self.release is not None and all(shapes.same_image(self.release.image, each.image) for each in machines)


def look(session: Session, machines: Sequence[Machine]) -> Before:
    """What serves, or what did before a deployment that nobody saw the end of."""
    if not machines:
        return Before(None, "", ())
    listed = shapes.releases(session.fly.json("releases", app=session.app))
    newest = listed[0].version if listed else 0
    release, config = _kept(session, listed, newest)
    if release is None and (release := _serving(listed, machines)) is not None:
        config = session.fly.text("config show", app=session.app)
    return Before(release, config, tuple(machines), newest)


def keep(session: Session, before: Before, deployments: int) -> None:
    """Remember it over so many deployments more: whoever adds others knows better what to go back to."""
    if before.release is None or session.dry_run:
        return
    kept = {"version": before.release.version, "config": before.config, "newest": before.newest + deployments}
    session.drawer.keep_before(json.dumps(kept))


def is_kept(session: Session, releases: Sequence[Release]) -> bool:
    """Whether the newest release is one whose test was cut short."""
    return _kept(session, releases, releases[0].version if releases else 0)[0] is not None


def configuration(before: Before, folder: Path) -> list[str]:
    """The earlier configuration as a flag with a file in `folder`: what failed may be today's fly.toml."""
    try:
        values = json.loads(before.config)
    except ValueError:
        return []
    path = folder / "fly.json"
    path.write_text(json.dumps(values), "utf-8")
    return [f"--config={path}"]


def _kept(session: Session, listed: Sequence[Release], newest: int) -> tuple[Release | None, str]:
    try:
        kept = json.loads(session.drawer.before() or "{}")
        if newest > kept.get("newest", 0):
            return None, ""
        return next((each for each in listed if each.version == kept["version"] and each.image), None), kept["config"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, ""


def _serving(listed: Sequence[Release], machines: Sequence[Machine]) -> Release | None:
    """The newest release that went through and that a machine runs; a failed one before us may have left a mix."""
    through = [each for each in listed if each.complete and each.image]
    images = [each.image for each in machines]
    served = (each for each in through if any(shapes.same_image(each.image, image) for image in images))
    return next(served, None) or next(iter(through), None)
