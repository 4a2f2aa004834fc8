"""What is there of an app already, as `setup` finds it before it changes anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from invoke import Exit

from infra import certs, deploy, earlier, fly, ledger, shapes
from infra.fly import FlyError, wrong_use
from infra.github import MEND, Github, GithubError, find
from infra.refusal import Refusal
from infra.session import Session, quoted
from infra.shapes import Release, Secret, Status
from infra.task import ExitCode


@dataclass(frozen=True, slots=True)
class Found:
    """What is there already. Without `status` there is no app, and everything else is empty."""

    status: Status | None
    organization: str
    secrets: tuple[Secret, ...] = ()
    releases: tuple[Release, ...] = ()
    kinds: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    github: Github | None = field(default=None, repr=False)
    github_names: frozenset[str] = frozenset()
    github_reason: str = ""
    github_app: str = ""
    deploy_tokens: tuple[shapes.DeployToken, ...] = ()
    untested: bool = False
    removed: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names of the secrets on Fly."""
        return frozenset(each.name for each in self.secrets)

    @property
    def machines(self) -> tuple[shapes.Machine, ...]:
        """The machines, if any."""
        return self.status.machines if self.status else ()

    def settled(self, image: str) -> bool:
        """Whether the newest release went through, tested, on every machine, with the image that is asked for."""
        return (
            bool(self.machines and self.releases and self.releases[0].complete)
            and not self.untested
            and shapes.agree(each.image for each in self.machines)
            and (not image or shapes.same_image(self.machines[0].image, image))
        )


def look(session: Session, organization: str, host: str, *, github: bool) -> Found:
    """What is there. Tools and login first, since nothing can be asked without.

    `organization` is the one asked for, if any; `host` and `github` say whether certificates and GitHub matter.
    """
    with session.console.progress("looking at what is there"):
        if problem := fly.version_problem(session.fly.json("version")):
            raise Exit(f"{problem}; `flyctl version upgrade` gets the newest", code=int(ExitCode.NOT_SET_UP))
        session.fly.json("auth whoami")
        deploy.validate(session)
        hub = _look_at_github(session) if github else {}
        status = _status(session)
        if status is None:
            return Found(None, _organization(session, organization), **hub)
        if organization not in ("", status.organization):
            raise wrong_use(f"{session.app} belongs to {status.organization}, not to {organization}")
        app = session.app
        releases = shapes.releases(session.fly.json("releases", app=app))
        secrets_there = _secrets(session)
        removing = session.drawer.record().removing
        return Found(
            status,
            status.organization,
            secrets_there,
            releases,
            frozenset(each.kind for each in shapes.addresses(session.fly.json("ips list", app=app))),
            certs.hosts(session) if host else frozenset(),
            deploy_tokens=shapes.tokens(session.fly.text("tokens list", app=app)) if github else (),
            untested=earlier.is_untested(session, releases),
            removed=bool(removing) and removing not in {each.name for each in secrets_there},
            **hub,
        )


def _look_at_github(session: Session) -> dict[str, Any]:
    """The members of `Found` that are about GitHub. One that does not answer is none, with its reason."""
    found, reason = find(session)
    if found is None:
        return {"github_reason": f"{reason}; {MEND}"}
    try:
        return {"github": found, "github_names": found.names(), "github_app": found.app()}
    except GithubError as problem:
        return {"github_reason": f"{problem}; run `./dev setup` again"}


def _secrets(session: Session) -> tuple[Secret, ...]:
    found = ledger.listed(session)
    ledger.settle(session, found)
    return found


def _status(session: Session) -> Status | None:
    try:
        return session.status()
    except FlyError as failed:
        if failed.refusal is Refusal.NO_APP:
            return None
        raise


def _organization(session: Session, wished: str) -> str:
    """The organisation of a new app: the one asked for, the only one, or the one that somebody names."""
    there = shapes.organizations(session.fly.json("orgs list"))
    slugs = ", ".join(there) or "none"
    if not wished and len(there) == 1:
        return next(iter(there))
    if not wished:
        otherwise = f"give --org SLUG: {slugs}"
        if session.yes or session.dry_run:
            raise wrong_use(otherwise)
        wished = session.console.ask(f"Which organisation ({slugs})", otherwise=otherwise)
    if wished not in there:
        raise wrong_use(f"--org {quoted(wished)}: this login knows {slugs}")
    return wished
