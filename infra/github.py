"""GitHub's secrets for continuous deployment, through gh: values by standard input only."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from infra import environ, process
from infra.record import Drawer
from infra.session import Session

SECONDS = 60.0
DEPLOY_TOKEN = "FLY_API_TOKEN"  # noqa: S105 - a name
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
        words = ("secret", "list", f"--repo={self.repository}", f"--env={self.environment}", "--json=name")
        try:
            return frozenset(str(each["name"]) for each in json.loads(_gh(self.session, *words)))
        except GithubError as problem:
            # No answer is no empty one: whoever takes it for one makes another token and ends the one in use.
            if not _is_missing(problem):
                raise
            return frozenset()
        except (ValueError, KeyError, TypeError):
            raise GithubError("gh secret: said nothing that is a list of secrets") from None

    def store(self, secrets: Mapping[str, str]) -> None:
        """Put the secrets into the environment, which is made where it is missing."""
        self._make_environment()
        for name, value in secrets.items():
            self.session.redact.add(value)
            words = ("secret", "set", name, f"--repo={self.repository}", f"--env={self.environment}")
            _gh(self.session, *words, stdin=value.encode(), writes=True)

    def _make_environment(self) -> None:
        path = f"repos/{self.repository}/environments/{self.environment}"
        try:
            _gh(self.session, "api", path)
        except GithubError as problem:
            # Only where it is missing: a second PUT would take its protection away.
            if not _is_missing(problem):
                raise
            _gh(self.session, "api", "--method=PUT", path, writes=True)


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
    """Give GitHub the new values too, where `setup` stored the earlier ones; says so where it cannot."""
    if not drawer.record().environment or os.environ.get("GITHUB_ACTIONS"):
        return
    found, reason = find(session)
    try:
        if found is not None:
            found.store(secrets)
            session.done("github", f"{', '.join(secrets)} stored in the environment {found.environment}")
            return
    except GithubError as problem:
        reason = str(problem)
    session.console.say(f"GitHub still has the earlier values ({reason}): store {', '.join(secrets)} there yourself")


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
