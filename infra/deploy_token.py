"""The deploy token that continuous deployment runs with: made where none is known, CI's never ended first.

Fly shows a value once. It waits in a file of ours until GitHub has it, and only then are the earlier ones revoked.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from invoke import Exit

from infra.record import Drawer
from infra.session import Session
from infra.shapes import DeployToken

NAME = "poe-proxy setup"
"""How the names of all of them begin."""
LIFE = "2160h"
"""90 days."""
DAYS_LEFT = 14.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the deploy token.

    Another is `due`, or the one that `waits` in our file is to be stored, or neither. `outdated` are the ids to revoke
    once that is done; `left_alone` says why nothing is done.
    """

    due: bool = False
    waits: bool = False
    outdated: tuple[str, ...] = ()
    left_alone: str = ""


def standing(drawer: Drawer, listed: Sequence[DeployToken], *, at_github: bool, unreachable: bool) -> Standing:
    """What to do about the tokens that Fly lists.

    `at_github`: its environment has a deploy token's name. `unreachable`: it cannot be asked now.
    """
    record = drawer.record()
    alive = [each for each in listed if each.name.startswith(NAME) and not each.revoked]
    mine = [each for each in alive if each.name in record.made]
    newest = next((each for each in mine if each.name == record.made[-1]), None)
    waits = bool(drawer.deploy_token())
    if mine and not waits and record.environment and unreachable:
        return Standing(left_alone="the deploy token is GitHub's, which cannot be asked now; it is left alone")
    if alive and not mine:
        return Standing(
            left_alone="a deploy token is there already, made elsewhere; it is left alone "
            f"(`flyctl tokens revoke {alive[0].id}` ends it, and `./dev setup` then makes another)"
        )
    # The name alone says little: Terraform makes the secret, too, and a value may have been lost on its way.
    stored = at_github and bool(record.environment) and record.placed
    due = newest is None or not _lasts(newest) or not (waits or stored)
    outdated = tuple(each.id for each in mine if due or each is not newest)
    # Whoever GitHub had a token from deploys with it until GitHub has another.
    return Standing(due, waits and not due, () if record.environment and unreachable else outdated)


def make(session: Session, drawer: Drawer) -> None:
    """Make one, and keep its value. Its name is noted first, so that a list tells it from all others."""
    name = f"{NAME} {secrets.token_hex(3)}"
    if not session.dry_run:
        record = drawer.record()
        drawer.keep(replace(record, made=(*record.made, name), placed=False))
        drawer.forget_deploy_token()
    answer = session.fly.json("tokens create deploy", f"--name={name}", f"--expiry={LIFE}", app=session.app)
    if answer is not None:
        session.redact.add(str(answer["token"]))
        drawer.keep_deploy_token(str(answer["token"]))
        session.done("deploy token", "made")


def settled(drawer: Drawer) -> None:
    """Remember that none but the newest is left."""
    record = drawer.record()
    drawer.keep(replace(record, made=record.made[-1:]))


def revoke(session: Session, outdated: Sequence[str]) -> None:
    """End the earlier ones, now that the new one is where it is used."""
    for each in outdated:
        told = session.fly.text("tokens revoke", each)
        if not session.dry_run and "1 tokens revoked" not in told:
            raise Exit(f"the old deploy token {each} could not be revoked; `flyctl tokens revoke {each}`", code=1)


def _lasts(token: DeployToken) -> bool:
    return token.days_left is None or token.days_left >= DAYS_LEFT
