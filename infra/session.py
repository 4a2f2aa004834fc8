"""What one task on Fly works with: the app, flyctl, the console, the folder, and how far it has come."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from invoke import Exit

from infra import fly, fly_toml, hints, service, shapes
from infra.console import Console
from infra.fly import Fly, wrong_use
from infra.record import Drawer
from infra.redact import Redactor
from infra.service import Setting
from infra.shapes import Status

APP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass
class Session:
    """One task at work. `finished` are the steps that are done, `begun` are changes of a step that is not."""

    given_app: str
    dry_run: bool
    as_json: bool
    yes: bool
    fly: Fly
    console: Console
    redact: Redactor
    folder: Path
    finished: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    @cached_property
    def app(self) -> str:
        """The app's name: `--app`, else `FLY_APP`, else fly.toml."""
        name = self.given_app or os.environ.get("FLY_APP", "") or self.config.app
        if not name:
            raise wrong_use('no app: give --app NAME, set FLY_APP, or write app = "NAME" into fly.toml')
        return checked_app(name)

    def work_on(self, app: str) -> None:
        """Take another app from here on."""
        self.given_app = app
        self.__dict__.pop("app", None)

    @cached_property
    def config(self) -> fly_toml.FlyToml:
        """fly.toml as it is on disk when first asked for."""
        return fly_toml.read(self.folder)

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """The service's settings."""
        return service.settings()

    @property
    def url(self) -> str:
        """Where the app answers."""
        return f"https://{self.app}.fly.dev"

    def status(self) -> Status:
        """The app and its machines, as Fly tells them now."""
        return shapes.status(self.fly.json("status", app=self.app))

    @property
    def drawer(self) -> Drawer:
        """What is remembered of the app."""
        return Drawer(self.folder, self.app)

    def alone(self) -> AbstractContextManager[None]:
        """Hold every other task off that changes the app from here; a dry run changes nothing, and leaves no file."""
        return nullcontext() if self.dry_run else self.drawer.alone()

    def done(self, name: str, text: str) -> None:
        """Note a step that is done, for people now and for whoever interrupts the task."""
        if self.dry_run:
            return
        self.finished.append(name)
        self.begun.clear()
        self.console.done(name, text)


def checked_app(name: str) -> str:
    """An app's name as Fly takes them."""
    if not APP_NAME.fullmatch(name):
        raise wrong_use(f"{quoted(name)} is no app name: small letters, digits and dashes, at most 63")
    return name


def quoted(text: str) -> str:
    """A value as an error may show it: one line, not long."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


@contextmanager
def opened(app: str, *, dry_run: bool, as_json: bool, yes: bool) -> Iterator[Session]:
    """A session for as long as a task runs."""
    if app:
        checked_app(app)
    redact = Redactor()
    for name in ("POE_API_KEYS", "ACCESS_TOKENS", "FLY_API_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"):
        redact.add(os.environ.get(name, ""))
    named = app or os.environ.get("FLY_APP", "")
    console = Console(redact, as_json=as_json, dry_run=dry_run, app=named)
    begun: list[str] = []
    with fly.opened(redact, dry_run=dry_run, noted=console.note, hear=console.hear, begun=begun) as flyctl:
        try:
            yield Session(app, dry_run, as_json, yes, flyctl, console, redact, Path.cwd(), begun=begun)
        except Exit as ended:
            ended.message = hints.about(named, ended.message or "") or None
            raise
