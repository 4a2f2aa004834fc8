"""The name of a new app: all of Fly's users share the names, so that the one this repository comes with is taken."""

from __future__ import annotations

import os
import secrets

from infra.console import asks
from infra.fly import FlyError, wrong_use
from infra.refusal import Refusal
from infra.session import Session

SHIPPED = "poe-proxy"
"""What fly.toml says until somebody has chosen."""


def choose(session: Session) -> str:
    """Have the task work on the app that somebody names; empty where nobody has to be asked.

    Asked for where fly.toml still has the name it came with and there is no such app. fly.toml is not changed yet.
    """
    if session.given_app or os.environ.get("FLY_APP") or session.config.app != SHIPPED:
        return ""
    if session.yes or session.dry_run or not asks() or _is_there(session):
        return ""
    suggested = f"{SHIPPED}-{secrets.token_hex(2)}"
    name = session.console.ask(
        f"Name of the app, a new one or one of yours [{suggested}]", otherwise="give --app NAME", default=suggested
    )
    if not name:
        raise wrong_use("nothing was changed")
    session.work_on(name)
    return name


def _is_there(session: Session) -> bool:
    try:
        session.status()
    except FlyError as failed:
        if failed.refusal is Refusal.NO_APP:
            return False
        raise
    return True
