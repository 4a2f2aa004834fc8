"""Grafana's data source: the one thing that Terraform must not know is its token, so that this puts it there."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from invoke import Exit

from infra.fly import wrong_use
from infra.session import Session
from infra.task import ExitCode
from infra.terraform import not_set_up

TOKEN = "FLY_METRICS_TOKEN"  # noqa: S105 - a name
SECONDS = 20.0
LARGEST_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Grafana:
    """Grafana's API with a service account's token."""

    url: str
    token: str = field(repr=False)

    def works(self, source: str) -> bool:
        """Whether the data source gets answers from its Prometheus."""
        status, answer = self.ask("GET", f"/api/datasources/uid/{source}/health")
        return status == 200 and str(answer.get("status", "")).upper() == "OK"

    def give(self, source: str, token: str) -> None:
        """Let the data source show this token; everything else of it stays as Terraform made it."""
        status, found = self.ask("GET", f"/api/datasources/uid/{source}")
        if status != 200:
            raise Exit(f"Grafana: {_why(status, source)}", code=int(ExitCode.FAILED))
        # The header's name is in what Grafana shows, its value in what it keeps to itself.
        found["secureJsonData"] = {"httpHeaderValue1": token}
        status, _ = self.ask("PUT", f"/api/datasources/uid/{source}", found)
        if status != 200:
            raise Exit(f"Grafana did not take the token (HTTP {status})", code=int(ExitCode.FAILED))

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 where nothing came back. Whatever the answer says, no token is in it."""
        request = urllib.request.Request(  # noqa: S310 - `opened` takes http and https alone
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=SECONDS) as response:
                answer = json.loads(response.read(LARGEST_BODY_BYTES) or b"{}")
                return response.status, answer if isinstance(answer, dict) else {}
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, {}
        except (OSError, ValueError):
            return 0, {}


def _why(status: int, source: str) -> str:
    known = {
        0: "no answer; is GRAFANA_URL right?",
        401: "it refuses GRAFANA_AUTH; has that token ended?",
        403: "the token in GRAFANA_AUTH may not change data sources; its service account wants the role Admin",
        404: f"it has no data source {source}; is GRAFANA_URL the Grafana that Terraform works on?",
    }
    return known.get(status, f"HTTP {status}")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which could take the token to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def opened() -> Grafana:
    """Grafana as the environment names it, by the variables that Terraform's provider wants as well."""
    url, token = os.environ["GRAFANA_URL"].rstrip("/"), os.environ["GRAFANA_AUTH"]
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise not_set_up("GRAFANA_URL is no address: https://NAME.grafana.net, for example")
    return Grafana(url, token)


def authorize(session: Session, grafana: Grafana, source: str, organization: str) -> None:
    """Give the data source its token, if one is at hand or it has none that works."""
    token = os.environ.get(TOKEN, "")
    session.redact.add(token)
    if session.dry_run:
        session.console.note(f"# Grafana: the data source gets the token of {TOKEN}, if it has none that works")
        return
    if not token and grafana.works(source):
        session.done("token", "the data source has one that works")
        return
    otherwise = f"set {TOKEN}; `flyctl tokens create readonly {organization} --name grafana -x 8760h` makes one"
    if not token and session.yes:
        raise wrong_use(otherwise)
    token = token or session.console.ask("A read-only token for Fly's metrics", hidden=True, otherwise=otherwise)
    session.redact.add(token)
    # What flyctl prints carries its scheme; the token of a login does not.
    grafana.give(source, token if token.startswith(("FlyV1 ", "Bearer ")) else f"Bearer {token}")
    if not grafana.works(source):
        raise Exit(
            f"Fly's Prometheus refuses this token: has it ended, or is it not one of the organisation {organization}?",
            code=int(ExitCode.FAILED),
        )
    session.done("token", "the data source has it, and Fly's Prometheus answers")
