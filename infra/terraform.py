"""Run Terraform on one environment: argument lists, a quiet environment of named variables, its state in a bucket."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from invoke import Exit

from infra import environ, process
from infra.fly import wrong_use
from infra.process import Finished
from infra.session import Session, quoted
from infra.task import INTERRUPTED, ExitCode

FOLDER = Path(__file__).resolve().parent / "terraform" / "environments"
ENVIRONMENTS = ("staging", "production")
BUCKET = "TF_STATE_BUCKET"
ENDPOINT = "AWS_ENDPOINT_URL_S3"
SECONDS = 900.0
APPLY_GRACE_SECONDS = 120.0
"""What an apply that was told to stop gets to finish the resource it is at, and to write the state down."""
DIFFERS = 2
"""What `terraform plan -detailed-exitcode` ends with where something would change."""

SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "CLOUDFLARE_API_TOKEN", "GITHUB_TOKEN", "GRAFANA_AUTH")
# What the providers and the state's bucket are reached with. TF_LOG would print tokens, TF_CLI_ARGS change a command.
_WANTED = frozenset(
    [
        *SECRETS,
        *("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "GITHUB_BASE_URL", "GRAFANA_URL"),
        *("TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "TF_REATTACH_PROVIDERS", "TF_TOKEN_app_terraform_io"),
    ]
)
_QUIET = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1"}
PARTS = {
    "fly_org": ("GRAFANA_URL", "GRAFANA_AUTH"),
    "repository": ("GITHUB_TOKEN",),
    "hostname": ("CLOUDFLARE_API_TOKEN",),
}
"""The value that makes an environment have a part → the variables that part's provider wants."""
_ERROR = re.compile(r"^[│\s]*Error: (.*)$", re.MULTILINE)
_NO_WAY = re.compile(r"could not connect to ([\w.-]+)|dial tcp(?:: lookup)? ([\w.-]+)|Client\.Timeout exceeded")
# What Terraform tells at length and means that something is missing here.
_MISSING = (
    (
        "No valid credential sources found",
        "no credentials for the state: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    ("NoSuchBucket", f"the bucket of {BUCKET} is not there, or {ENDPOINT} names another service than its own"),
    ("Unsupported Terraform Core version", "it is too old: install Terraform 1.11 or newer, or name it in TERRAFORM"),
)
# The first that Terraform's words hold decides what to do next.
_STEPS = (
    ("state lock", "somebody else is at it; wait, or `terraform force-unlock` once they are surely gone"),
    ("Missing required argument", "write it into the environment's main.tf"),
    ("S3", "are the bucket and its credentials right? docs/infrastructure.md lists the variables"),
    ("401", "is a token missing or ended? docs/infrastructure.md lists the variables"),
    ("403", "may the token do this? docs/infrastructure.md lists the variables"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan would do to one resource: `import`, `create`, `update`, `delete`, or several of them."""

    address: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terraform:
    """Terraform on one environment's folder, for one task."""

    session: Session
    environment: str
    scratch: Path
    binary: str

    @property
    def folder(self) -> Path:
        """Where the environment is written down."""
        return FOLDER / self.environment

    def init(self) -> None:
        """Fetch the providers and open the state."""
        bucket = f"-backend-config=bucket={os.environ[BUCKET]}"
        self._checked("init", "-input=false", "-reconfigure", bucket)

    def plan(self, *targets: str, locked: bool = False) -> tuple[Change, ...]:
        """What would change, also printed. A plan alone needs no lock, so that a token that only reads is enough."""
        options = [f"-lock={str(locked).lower()}", *(f"-target={target}" for target in targets)]
        command = ("plan", "-input=false", "-detailed-exitcode", f"-out={self._plan}", *options)
        finished = self._run(*command)
        if finished.code == DIFFERS:
            self._tell(finished.stdout)
            return self._changes()
        if finished.code:
            raise self._failed("plan", finished)
        return ()

    def apply(self) -> None:
        """Do what `plan` said, and nothing else."""
        try:
            self._checked("apply", "-input=false", str(self._plan), writes=True)
        except KeyboardInterrupt:
            raise Exit(
                "interrupted; what Terraform had done by then is done, and the same command goes on from there",
                code=INTERRUPTED,
            ) from None

    def output(self, name: str) -> str:
        """An output of the environment, empty where it has none."""
        finished = self._checked("output", "-json")
        return str((json.loads(finished.stdout or "{}").get(name) or {}).get("value") or "")

    @property
    def _plan(self) -> Path:
        return self.scratch / "plan"

    def _changes(self) -> tuple[Change, ...]:
        shown = json.loads(self._checked("show", "-json", str(self._plan)).stdout or "{}")
        found = [Change(each["address"], _actions(each["change"])) for each in shown.get("resource_changes", ())]
        return tuple(each for each in found if each.actions)

    def _tell(self, text: str) -> None:
        for line in text.rstrip().split("\n"):
            self.session.console.line(line)

    def _checked(self, *command: str, writes: bool = False) -> Finished:
        finished = self._run(*command, writes=writes)
        if finished.code:
            raise self._failed(command[0], finished)
        return finished

    def _run(self, *command: str, writes: bool = False) -> Finished:
        folder = os.path.relpath(self.folder)
        argv = [self.binary, f"-chdir={folder}", command[0], "-no-color", *command[1:]]
        if command[0] in ("output", "show"):
            argv.remove("-no-color")
        if self.session.dry_run:
            self.session.console.note(self.session.redact(shlex.join(argv)))
            return Finished(0)
        try:
            hear, grace = (self.session.console.hear, APPLY_GRACE_SECONDS) if writes else (None, None)
            return process.run(argv, environ=_environ(self.scratch), seconds=SECONDS, hear=hear, grace=grace)
        except OSError as problem:
            said = "is not there" if isinstance(problem, FileNotFoundError) else "is no program"
            raise not_set_up(
                f"{self.binary} {said}: install Terraform 1.11 or newer, or name it in TERRAFORM"
            ) from None

    def _failed(self, command: str, finished: Finished) -> Exit:
        if finished.timed_out:
            return Exit(f"terraform {command} took too long and was stopped", code=int(ExitCode.FAILED))
        output = self.session.redact(finished.stderr or finished.stdout)
        if command != "apply" and (missing := _missing(output)):
            return not_set_up(f"terraform {command}: {missing}")
        if command != "apply" and (no_way := _no_way(output)):
            return Exit(f"terraform {command}: {no_way}", code=int(ExitCode.FAILED))
        for line in output.strip().split("\n"):
            self.session.console.say(line)
        return Exit(f"terraform {command}: {_told(output)}", code=int(ExitCode.FAILED))


def _actions(change: dict[str, Any]) -> tuple[str, ...]:
    """What a change comes to, without what changes nothing: taking a resource into the state is something."""
    imports = ("import",) if change.get("importing") else ()
    return (*imports, *(action for action in change["actions"] if action not in ("no-op", "read")))


def _missing(output: str) -> str:
    """What is not here, where that is all that Terraform's words come to; else empty."""
    words = _flat(output)
    return next((sentence for known, sentence in _MISSING if known in words), "")


def _no_way(output: str) -> str:
    """Whom nobody answered for, where that is all that Terraform's words come to; else empty."""
    found = _NO_WAY.search(_flat(output))
    return (
        f"no way to {found[1] or found[2] or 'a service'}; is there a network, and is that address right?"
        if found
        else ""
    )


def _flat(output: str) -> str:
    """Terraform's words without its frames and line breaks."""
    return re.sub(r"[\s│╷╵]+", " ", output)


def _told(output: str) -> str:
    """The first error in Terraform's words, and what to do about it where that is known."""
    said = _ERROR.findall(output) or ["it failed"]
    step = next((step for words, step in _STEPS if words in output), "")
    return f"{said[0]}; {step}" if step else said[0]


def not_set_up(message: str) -> Exit:
    """The exception for what must be there first."""
    return Exit(message, code=int(ExitCode.NOT_SET_UP))


def require(environment: str, *parts: str) -> None:
    """Raise for variables that are not set and that the state, or these parts of the environment, cannot do without."""
    wanted = [BUCKET, ENDPOINT, *(name for part in parts if written(environment, part) for name in PARTS[part])]
    if missing := [name for name in wanted if not os.environ.get(name)]:
        verb = "is" if len(missing) == 1 else "are"
        raise not_set_up(f"{', '.join(missing)} {verb} not set; docs/infrastructure.md says what for")


@contextmanager
def opened(session: Session, environment: str) -> Iterator[Terraform]:
    """Terraform for as long as a task runs."""
    checked(environment)
    for name in SECRETS:
        session.redact.add(os.environ.get(name, ""))
    with TemporaryDirectory(prefix="poe-proxy-terraform-") as scratch:
        yield Terraform(session, environment, Path(scratch), os.environ.get("TERRAFORM") or "terraform")


def checked(environment: str) -> str:
    """The environment's name, if there is such a one."""
    if environment not in ENVIRONMENTS:
        raise wrong_use(f"--environment {quoted(environment)} is neither {' nor '.join(ENVIRONMENTS)}")
    return environment


def written(environment: str, name: str) -> str:
    """A text that the environment's main.tf gives; empty where it gives none."""
    text = (FOLDER / environment / "main.tf").read_text(encoding="utf-8")
    found = re.search(rf'^\s*{name}\s*=\s*"([^"\\]*)"', text, re.MULTILINE)
    return found[1] if found else ""


def _environ(scratch: Path) -> dict[str, str]:
    chosen = {name: value for name, value in os.environ.items() if name in _WANTED}
    return {**environ.for_anything(os.environ), **chosen, **_QUIET, "TF_DATA_DIR": str(scratch / "data")}
