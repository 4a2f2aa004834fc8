"""GitHub's secrets for continuous deployment, through gh: values by standard input only."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from infra import environ, ledger, process
from infra.record import Drawer
from infra.session import Session

SECONDS = 60.0
DEPLOY_TOKEN = "FLY_API_TOKEN"  # noqa: S105 - a name
APP = "FLY_APP"
"""The variable that says which app an environment is about; without it production is fly.toml's."""
MEND = "once gh is installed, logged in (`gh auth login`) and knows this repository, run `./dev setup` again"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


class GithubError(Exception):
    """gh refused; one line without secrets."""


@dataclass(frozen=True, slots=True)
class Github:
    """One environment of the repository that this folder belongs to."""

    session: Session
    repository: str
    environment: str

    def names(self) -> frozenset[str]:
        """The secrets that the environment has; none where it does not exist yet. Raises `GithubError`."""
        return frozenset(each["name"] for each in self._listed("secret", "name"))

    def app(self) -> str:
        """The app that the environment's variable names; empty for none. Raises `GithubError`."""
        return next((each["value"] for each in self._listed("variable", "name", "value") if each["name"] == APP), "")

    def about(self) -> str:
        """The app that the workflows deploy there: of production fly.toml's, unless told; empty for none."""
        return self.app() or (self.session.config.app if self.environment == "production" else "")

    def held(self, secrets: Mapping[str, str]) -> Mapping[str, str]:
        """Those of these values that it has some of. Raises `GithubError`."""
        names = self.names()
        return {name: value for name, value in secrets.items() if name in names}

    def store(self, secrets: Mapping[str, str], app: str = "") -> bool:
        """Put the secrets, and the app's name if any, into the environment, which is made where it is missing.

        Returns whether the environment has reviewers. Raises `GithubError`.
        """
        reviewed = self._make_environment()
        if app:
            _gh(self.session, "variable", "set", APP, *self._place, f"--body={app}", writes=True)
        for name, value in secrets.items():
            self.session.redact.add(value)
            _gh(self.session, "secret", "set", name, *self._place, stdin=value.encode(), writes=True)
        return reviewed

    @property
    def _place(self) -> tuple[str, str]:
        return f"--repo={self.repository}", f"--env={self.environment}"

    def _listed(self, kind: str, *members: str) -> list[dict[str, str]]:
        try:
            listed = json.loads(_gh(self.session, kind, "list", *self._place, f"--json={','.join(members)}"))
            return [{member: str(each[member]) for member in members} for each in listed]
        except GithubError as problem:
            # No answer is no empty one: whoever takes it for one makes another token and ends the one in use.
            if not _is_missing(problem):
                raise
            return []
        except (ValueError, KeyError, TypeError):
            raise GithubError(f"gh {kind}: said nothing that is a list of {kind}s") from None

    def _make_environment(self) -> bool:
        path = f"repos/{self.repository}/environments/{self.environment}"
        try:
            return '"required_reviewers"' in _gh(self.session, "api", path)
        except GithubError as problem:
            # Only where it is missing: a second PUT would take its protection away.
            if not _is_missing(problem):
                raise
            _gh(self.session, "api", "--method=PUT", path, writes=True)
            return False


def find(session: Session) -> tuple[Github | None, str]:
    """The environment for this app, or None and why."""
    try:
        _gh(session, "auth", "status")
        told = json.loads(_gh(session, "repo", "view", "--json=nameWithOwner"))
        repository = str(told["nameWithOwner"])
    except FileNotFoundError:
        return None, "gh is not installed"
    except GithubError as problem:
        return None, str(problem)
    except (ValueError, KeyError, TypeError):
        return None, "gh does not know this repository"
    if not _REPOSITORY.fullmatch(repository):
        return None, "gh does not know this repository"
    return Github(session, repository, environment_of(session.app)), ""


def environment_of(app: str) -> str:
    """`staging` for an app whose name says so, else `production`."""
    return "staging" if app.endswith("-staging") else "production"


def refresh(session: Session, drawer: Drawer, secrets: Mapping[str, str]) -> None:
    """Give GitHub the new values too, where `setup` stored the earlier ones, here or elsewhere; says if it cannot."""
    if os.environ.get("GITHUB_ACTIONS"):
        return
    ours = bool(drawer.record().environment)
    found, reason = find(session)
    try:
        if found is not None:
            reason = _refreshed(session, drawer, found, secrets if ours else found.held(secrets))
    except GithubError as problem:
        reason = str(problem)
    if reason and (ours or found is not None):
        session.console.say(
            f"GitHub still has the earlier values ({reason}): store {', '.join(secrets)} there yourself"
        )


def _refreshed(session: Session, drawer: Drawer, found: Github, secrets: Mapping[str, str]) -> str:
    """Store these values; why not, where the environment has come to be another app's."""
    if not secrets:
        return ""
    if (other := found.about()) != session.app:
        return (
            f"its environment {found.environment} is about {other or 'no app'}" if drawer.record().environment else ""
        )
    found.store(secrets)
    if not session.dry_run:
        ledger.stored(drawer, secrets)
    session.done("github", f"{', '.join(secrets)} stored in the environment {found.environment}")
    return ""


def _is_missing(problem: GithubError) -> bool:
    return "HTTP 404" in str(problem)


def _gh(session: Session, *arguments: str, stdin: bytes = b"", writes: bool = False) -> str:
    argv = ["gh", *arguments]
    if session.dry_run and writes:
        session.console.note(session.redact(shlex.join(argv)))
        return ""
    finished = process.run(
        argv, environ=environ.for_gh(os.environ), stdin=stdin, seconds=SECONDS, folder=session.folder
    )
    if session.dry_run:
        session.console.note(session.redact(shlex.join(argv)))
    if finished.code:
        line = session.redact(finished.stderr or finished.stdout).strip().partition("\n")[0][:200]
        raise GithubError(f"gh {arguments[0]}: {line or f'ended with {finished.code}'}")
    return finished.stdout
