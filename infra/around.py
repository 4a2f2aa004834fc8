"""Around the app, by Terraform: monitoring in Grafana, the repository at GitHub, DNS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from invoke import Context, Exit

from infra import whole_file
from infra.fly_task import fly_task
from infra.task import INTERRUPTED, ExitCode, end, task

if TYPE_CHECKING:
    from infra.session import Session
    from infra.terraform import Terraform

ENVIRONMENT = {"environment": "NAME: staging or production"}
DRY_RUN = {"dry_run": "print what would run, one command a line, and change nothing"}
JSON = {"json": "answer with one JSON value"}
MONITORING = "module.environment.module.monitoring"
# Their providers send all of a resource with every change of it, with the placeholder in the secret's place.
SECRET = re.compile(r'\.github_actions_environment_secret\.this\["(\w+)"\]$')
SOURCE = ".grafana_data_source.fly"
FACTS = "fly.json"
PUBLIC = {"v4": "ipv4", "shared_v4": "ipv4", "v6": "ipv6"}
"""Kinds of addresses that the world reaches an app by → the variable that holds them."""


@task(help={**ENVIRONMENT, "check": "exit 4 where something would change", **DRY_RUN, **JSON})
def plan(
    c: Context, environment: str = "staging", check: bool = False, dry_run: bool = False, json: bool = False
) -> None:
    """Say what Terraform would change.

    Runs: terraform init · plan · show
    """
    with _working(environment, dry_run=dry_run, as_json=json) as (session, terraform):
        _ready(terraform)
        changes = _planned(session, terraform)
        session.console.result({"changes": changes})
    if check and changes:
        end(ExitCode.DRIFT)


@task(help={**ENVIRONMENT, **DRY_RUN, **JSON, "yes": "ask nothing"})
def apply(
    c: Context, environment: str = "staging", dry_run: bool = False, json: bool = False, yes: bool = False
) -> None:
    """Let Terraform change what `infra.plan` says.

    Runs: terraform init · plan · show · apply
    """
    with _working(environment, dry_run=dry_run, as_json=json, yes=yes) as (session, terraform):
        _ready(terraform)
        changes = _applied(session, terraform)
        if any([name.endswith(SOURCE) for name in _written(changes)]):
            session.console.say("Grafana's data source has no token now: `./dev monitor.setup` gives it one")
        session.console.result({"changes": changes})


@task(name="vars", help={**ENVIRONMENT, **DRY_RUN, **JSON})
def variables(c: Context, environment: str = "staging", dry_run: bool = False, json: bool = False) -> None:
    """Ask Fly for the app's addresses and what its certificates want in the DNS, and write it down for Terraform.

    Runs: flyctl ips list · certs list · certs check
    """
    with _working(environment, dry_run=dry_run, as_json=json) as (session, terraform):
        found = _asked(session)
        if not dry_run:
            _write(session, terraform, found)
        session.console.result(found)


@fly_task(name="setup")
def setup_monitoring(session: Session) -> dict[str, Any]:
    """Make the data source, dashboard and alerts in your Grafana, for the app's environment.

    Runs: terraform init · plan · show · apply · output
    """
    from infra import grafana, terraform
    from infra.github import environment_of

    environment = environment_of(session.app)
    organization = terraform.written(environment, "fly_org")
    if not organization:
        raise terraform.not_set_up(
            f"fly_org is empty in infra/terraform/environments/{environment}/main.tf (docs/monitoring.md)"
        )
    if (app := terraform.written(environment, "app")) != session.app:
        raise terraform.not_set_up(
            f"infra/terraform/environments/{environment}/main.tf is about the app {app}, not {session.app}"
        )
    terraform.require(environment, "fly_org")
    target = grafana.opened()
    with terraform.opened(session, environment) as opened:
        opened.init()
        changes = _applied(session, opened, MONITORING)
        grafana.authorize(session, target, opened.output("data_source_uid") or "UID", organization)
    session.console.line(f"{target.url}/d/poe-proxy-{environment}")
    return {"changes": changes, "dashboard": f"{target.url}/d/poe-proxy-{environment}"}


def _ready(terraform: Terraform) -> None:
    """Open the whole environment, once there is everything that it needs."""
    from infra.terraform import PARTS, require

    require(terraform.environment, *PARTS)
    terraform.init()


def _planned(session: Session, terraform: Terraform, *targets: str, locked: bool = False) -> list[dict[str, Any]]:
    with session.console.progress(f"planning {terraform.environment}"):
        changes = terraform.plan(*targets, locked=locked)
    if not changes and not session.dry_run:
        session.console.line(f"{terraform.environment}: nothing to change")
    return [{"resource": each.address, "actions": list(each.actions)} for each in changes]


def _applied(session: Session, terraform: Terraform, *targets: str) -> list[dict[str, Any]]:
    changes = _planned(session, terraform, *targets, locked=True)
    if changes or session.dry_run:
        if not session.console.confirm(f"Make these {len(changes)} changes?", yes=session.yes):
            end(ExitCode.WRONG_USE, "nothing was changed")
        with session.console.progress(f"applying {terraform.environment}"):
            terraform.apply()
        session.done("terraform", f"{len(changes)} changes made")
        secrets = [SECRET.search(name) for name in _written(changes)]
        for name in [each[1] for each in secrets if each]:
            session.console.say(f"{name} has no value now: gh secret set {name} --env {terraform.environment}")
    return changes


def _written(changes: list[dict[str, Any]]) -> list[str]:
    """What was made or changed; what was there before and is imported is neither."""
    return [each["resource"] for each in changes if not {"create", "update"}.isdisjoint(each["actions"])]


def _asked(session: Session) -> dict[str, Any]:
    """What an environment is told of its app."""
    from infra import certs, shapes

    found: dict[str, Any] = {"ipv4": [], "ipv6": [], "certificates": {}}
    for each in shapes.addresses(session.fly.json("ips list", app=session.app)):
        if each.kind in PUBLIC:
            found[PUBLIC[each.kind]].append(each.address)
    for kind in ("ipv4", "ipv6"):
        found[kind].sort()
    for host in sorted(each["hostname"] for each in certs.certificates(session)):
        wanted = (certs.looked_up(session, host) or {}).get("dns_requirements") or {}
        found["certificates"][host] = {
            "acme_target": (wanted.get("acme_challenge") or {}).get("target") or None,
            "ownership_txt": (wanted.get("ownership") or {}).get("app_value") or None,
        }
    return found


def _write(session: Session, terraform: Terraform, found: dict[str, Any]) -> None:
    path = terraform.folder / FACTS
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    place = f"infra/terraform/environments/{terraform.environment}/{FACTS}"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        session.console.line(f"{place} says so already")
        return
    whole_file.write(path, text)
    session.console.line(f"{place} is written; commit it, and `./dev infra.plan --environment {terraform.environment}`")


@contextmanager
def _working(
    environment: str, *, dry_run: bool, as_json: bool, yes: bool = False
) -> Iterator[tuple[Session, Terraform]]:
    """A session on the app that the environment is about, with its Terraform."""
    from infra import naming, session, terraform  # here, so that a list of tasks needs nothing of them

    app = terraform.written(terraform.checked(environment), "app")
    with (
        session.opened(app, dry_run=dry_run, as_json=as_json, yes=yes) as opened,
        terraform.opened(opened, environment) as runner,
    ):
        if app == naming.SHIPPED and opened.config.app not in ("", naming.SHIPPED):
            raise terraform.not_set_up(
                f"infra/terraform/environments/{environment}/main.tf is still about the app {app}, fly.toml about "
                f"{opened.config.app}: write your app's name there"
            )
        try:
            yield opened, runner
        except KeyboardInterrupt:
            raise Exit("interrupted" + "; nothing was changed" * (not opened.finished), code=INTERRUPTED) from None
