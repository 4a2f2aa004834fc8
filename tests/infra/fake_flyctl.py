"""A stand-in of flyctl with Fly behind it: one state file, the real one's answers, refusals and bad habits.

As a program: `python fake_flyctl.py STATE COMMAND …`. In process: `run(words, stdin, environ, state)`.
Faults on demand: `state["faults"]` holds `{"command", "nth", "how"}`; see `FAULTS`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))

from tests.infra.surface import parsed  # noqa: E402 - found by the line above where this runs as a program

Answer = tuple[int, str, str]
QUERY = "failed to run query ($appName: String!) { appcompact:app(name: $appName) { id name } }"
TAKEN = ("taken-by-somebody",)
FAULTS = {
    "500": f"Error: failed to get app: {QUERY}: server returned a non-200 status code: 500",
    "429": "Error: failed to list VMs: rate limit exceeded (Request ID: 01ABC-nrt)",
    "401": f"Error: failed to get app: {QUERY}: server returned a non-200 status code: 401",
    "unreachable": 'Error: Post "https://api.machines.dev/v1/apps": dial tcp: lookup api.machines.dev: no such host',
    "lost": 'Error: Post "https://api.machines.dev/v1/apps": EOF',
}
"""What flyctl says then. `lost` comes after the change was made; `hang` says nothing for a minute."""


class Refused(Exception):
    """An error of flyctl's."""


def new_state(**members: Any) -> dict[str, Any]:
    """A platform with one account and nothing on it."""
    return {
        "orgs": {"personal": "Test User"},
        "apps": {},
        "calls": [],
        "faults": [],
        "missing_images": [],
        "sick_images": [],
        "number": 0,
        **members,
    }


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def save(path: Path, state: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(state))
    draft.replace(path)


def run(words: Sequence[str], stdin: bytes, environ: Mapping[str, str], path: Path) -> Answer:
    """One call: exit code and both outputs; the state on disk is changed. Calls take turns."""
    with open(path.with_suffix(".lock"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        return _run(words, stdin, environ, path)


def _run(words: Sequence[str], stdin: bytes, environ: Mapping[str, str], path: Path) -> Answer:
    state = load(path)
    state["calls"].append(list(words))
    try:
        name, flags, arguments = parsed(words)
    except ValueError as wrong:
        save(path, state)
        return 1, "Usage:\n  flyctl [flags]\n", f"Error: {wrong}\n"
    fault = _fault(state, name)
    save(path, state)
    if fault == "hang":
        path.with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(60)
    if fault and fault != "lost":
        return 1, "", FAULTS[fault] + "\n"
    if name != "version" and not _token(environ):
        return 1, "", "Error: no access token available. Please login with 'flyctl auth login'\n"
    if name != "version" and _token(environ) == "expired":
        return 1, "", FAULTS["401"] + "\n"
    fly = Fly(state, flags, arguments, stdin, environ)
    try:
        out = fly.call(name)
        code, err = 0, fly.err
    except Refused as refused:
        code, out, err = 1, fly.out, f"{fly.err}Error: {refused}\n"
    _log(environ, stdin, out)
    save(path, state)
    return (1, "", FAULTS["lost"] + "\n") if fault == "lost" else (code, out, err)


def _fault(state: dict[str, Any], name: str) -> str:
    for fault in state["faults"]:
        if fault["command"] == name:
            fault["nth"] -= 1
            if fault["nth"] == 0:
                return str(fault["how"])
    return ""


def _token(environ: Mapping[str, str]) -> str:
    kept = Path(environ.get("FLY_CONFIG_DIR", "/nowhere"), "config.yml")
    found = re.search(r"access_token: (\S+)", kept.read_text()) if kept.is_file() else None
    return environ.get("FLY_API_TOKEN") or (found[1] if found else "")


def _log(environ: Mapping[str, str], *bodies: bytes | str) -> None:
    """flyctl's habit: every body into a file, and at LOG_LEVEL=debug on standard error as well."""
    folder = Path(environ.get("FLY_CONFIG_DIR", "/nowhere"), "logs")
    text = " ".join(each.decode() if isinstance(each, bytes) else each for each in bodies)
    if environ.get("LOG_LEVEL", "").lower() == "debug":
        print(text, file=sys.stderr)
    if folder.parent.is_dir() and not folder.is_file():
        folder.mkdir(exist_ok=True)
        with open(folder / "flyctl.log", "a") as log:
            log.write(text)


class Fly:
    """The platform, as one call of flyctl sees it."""

    def __init__(
        self,
        state: dict[str, Any],
        flags: Mapping[str, str],
        arguments: Sequence[str],
        stdin: bytes,
        environ: Mapping[str, str],
    ) -> None:
        self.state, self.flags, self.arguments, self.stdin, self.environ = state, flags, arguments, stdin, environ
        self.out, self.err = "", ""

    def call(self, name: str) -> str:
        method: Callable[[], Any] = getattr(self, name.replace(" ", "_").replace("-", "_"))
        answer = method()
        return answer if isinstance(answer, str) else json.dumps(answer, indent=4) + "\n"

    # account

    def version(self) -> Any:
        return {"Name": "flyctl", "Version": self.state.get("version", "0.4.83"), "OS": "linux"}

    def auth_whoami(self) -> Any:
        return {"email": "test@example.com"}

    def auth_token(self) -> Any:
        return {"token": _token(self.environ)}

    def orgs_list(self) -> Any:
        return self.state["orgs"]

    # app

    @property
    def name(self) -> str:
        return self.flags.get("--app") or str(self._config().get("app", ""))

    @property
    def app(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self.state["apps"].get(self.name)
        if found is None:
            raise Refused(f'failed to get app: {QUERY}: Could not find App "{self.name}"')
        return found

    def _config(self) -> dict[str, Any]:
        path = Path(self.flags.get("--config") or "fly.toml")
        if not path.is_file():
            return {}
        text = path.read_text()
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)  # type: ignore[no-any-return]

    def _new(self, prefix: str = "") -> str:
        self.state["number"] += 1
        return prefix + hashlib.sha256(str(self.state["number"]).encode()).hexdigest()[:14]

    def apps_create(self) -> Any:
        name, org = self.arguments[0], self.flags.get("--org", "")
        if name in TAKEN or name in self.state["apps"]:
            raise Refused("Validation failed: Name has already been taken (Request ID: 01ABC-nrt)")
        if org not in self.state["orgs"]:
            raise Refused(f"organization {org} not found")
        self.state["apps"][name] = {
            "org": org, "secrets": {}, "machines": [], "releases": [], "ips": [], "certs": {}, "tokens": []
        }  # fmt: skip
        return {"ID": name, "Name": name, "Organization": {"Slug": org}}

    def apps_destroy(self) -> str:
        if "--yes" not in self.flags:
            raise Refused("yes flag must be specified when not running interactively")
        if self.state["apps"].pop(self.arguments[0], None) is None:
            raise Refused(f'failed retrieving app: Could not find App "{self.arguments[0]}"')
        return f"Destroyed app {self.arguments[0]}\n"

    def status(self) -> Any:
        app = self.app
        return {
            "AppURL": f"https://{self.name}.fly.dev",
            "Deployed": bool(app["machines"]),
            "Hostname": f"{self.name}.fly.dev",
            "ID": self.name,
            "Machines": [self._machine(each) for each in app["machines"]],
            "Name": self.name,
            "Organization": {"ID": "org1", "Slug": app["org"], "Name": ""},
            "Status": "deployed" if app["machines"] else "pending",
            "Version": len(app["releases"]),
        }

    def _machine(self, machine: Mapping[str, Any]) -> Any:
        registry, _, rest = machine["image"].partition("/")
        repository, _, tag = rest.partition("@")[0].partition(":")
        sick = machine["image"] in self.state["sick_images"]
        digest = hashlib.sha256(machine["image"].encode()).hexdigest()
        return {
            "id": machine["id"],
            "state": machine["state"],
            "region": machine["region"],
            "image_ref": {"registry": registry, "repository": repository, "tag": tag, "digest": f"sha256:{digest}"},
            "config": {
                "image": machine["image"],
                "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": machine["memory"]},
                "metadata": {"fly_process_group": "app", "fly_release_version": str(machine["release"])},
                "services": [self._service()],
            },
            "checks": [
                {"name": "servicecheck-00-http-8080", "status": "critical" if sick else "passing", "output": ""}
            ],
        }

    def _service(self) -> Any:
        releases = self.app["releases"]
        told = (releases[-1]["config"] if releases else {}).get("http_service", {})
        return {"internal_port": told.get("internal_port"), "autostop": told.get("auto_stop_machines", "off")}

    def releases(self) -> Any:
        return [
            {"ID": f"rel{each['version']}", "Version": each["version"], "Status": each["status"],
             "Description": "Release", "User": {"Email": "test@example.com"},
             "CreatedAt": "2026-11-22T13:22:43Z", "ImageRef": each["image"]}
            for each in reversed(self.app["releases"][-25:])
        ]  # fmt: skip

    def config_validate(self) -> str:
        if self._config().get("colour"):
            raise Refused("strict validation failed")
        return "Validating fly.toml\n\x1b[32m✓\x1b[0m Configuration is valid\n\n"

    def config_show(self) -> Any:
        releases = self.app["releases"]
        if not releases:
            raise Refused("failed to get app config: no release")
        return releases[-1]["config"]

    # deployments

    def deploy(self) -> str:
        app, config = self.app, self._config()
        image = (
            self.flags.get("--image")
            or f"registry.fly.io/{self.name}:{self.flags.get('--image-label', 'deployment-01')}"
        )
        if image in self.state["missing_images"]:
            raise Refused(f'failed to fetch an image or build from source: could not find image "{image}"')
        release = {"version": len(app["releases"]) + 1, "status": "running", "image": image, "config": config}
        release["strategy"] = self.flags.get("--strategy", "rolling")
        app["releases"].append(release)
        if not app["machines"]:
            self._first(config)
        self.out = f"Updating existing machines in '{self.name}' with {release['strategy']} strategy\n"
        for machine in app["machines"]:
            self._update(machine, image, release["version"])
            if image in self.state["sick_images"] and release["strategy"] != "immediate":
                release["status"] = "failed"
                raise Refused(f"timeout reached waiting for health checks to pass for machine {machine['id']}: 0/1")
        release["status"] = "complete"
        return self.out + "\nVisit your newly deployed app\n"

    def _first(self, config: Mapping[str, Any]) -> None:
        if not self.app["ips"]:
            self.app["ips"] = [
                {"Address": "2001:db8:1::1", "Type": "v6"},
                {"Address": "203.0.113.7", "Type": "shared_v4"},
            ]
        for _ in range(1 if self.flags.get("--ha") == "false" else 2):
            self._launch(config.get("primary_region", "iad"))

    def _launch(self, region: str) -> None:
        last = self.app["releases"][-1]
        machine = {"id": self._new(), "state": "started", "region": region, "memory": 256}
        self._update(machine, last["image"], last["version"])
        self.app["machines"].append(machine)

    def _update(self, machine: dict[str, Any], image: str, release: int) -> None:
        values = {name: each["value"] for name, each in self.app["secrets"].items()}
        machine.update(image=image, release=release, secrets=values)

    # secrets

    def secrets_list(self) -> Any:
        app = self.app
        return [
            {
                "name": name,
                "digest": hashlib.sha256(each["value"].encode()).hexdigest()[:16],
                "status": self._used(name),
            }
            for name, each in app["secrets"].items()
        ]

    def _used(self, name: str) -> str:
        value = self.app["secrets"][name]["value"]
        with_it = [machine["secrets"].get(name) == value for machine in self.app["machines"]]
        return "Staged" if not any(with_it) else "Deployed" if all(with_it) else "Partial"

    def secrets_import(self) -> str:
        pairs = dict(imported(self.stdin.decode()))
        if not pairs:
            raise Refused("requires at least one SECRET=VALUE pair")
        self.app["secrets"].update({name: {"value": value} for name, value in pairs.items()})
        return self._staged()

    def secrets_unset(self) -> str:
        for name in self.arguments:
            self.app["secrets"].pop(name, None)
        return self._staged()

    def _staged(self) -> str:
        if "--stage" in self.flags:
            return "Secrets have been staged, but not set on VMs.\n"
        return self.secrets_deploy()

    def secrets_deploy(self) -> str:
        app = self.app
        if not app["machines"]:
            raise Refused("no machines available to deploy")
        last = app["releases"][-1]
        app["releases"].append({**last, "version": len(app["releases"]) + 1, "status": "complete"})
        for machine in app["machines"]:
            self._update(machine, machine["image"], len(app["releases"]))
        return "Updating existing machines with rolling strategy\n"

    # addresses, certificates, tokens

    def ips_list(self) -> Any:
        return [{"ID": "ip", "Region": "global", "CreatedAt": "", **each} for each in self.app["ips"]]

    def ips_allocate_v4(self) -> str:
        if "--shared" not in self.flags and "--yes" not in self.flags:
            raise Refused("yes flag must be specified when not running interactively")
        self.app["ips"].append({"Address": "203.0.113.7", "Type": "shared_v4" if "--shared" in self.flags else "v4"})
        return " VERSION │ IP\n"

    def ips_allocate_v6(self) -> str:
        self.app["ips"].append({"Address": f"2001:db8:1::{len(self.app['ips']) + 1}", "Type": "v6"})
        return " VERSION │ IP\n"

    def certs_list(self) -> Any:
        return [
            {"hostname": host, "status": each["status"], "configured": each["status"] == "active"}
            for host, each in self.app["certs"].items()
        ]

    def certs_add(self) -> Any:
        host = self.arguments[0]
        if host in self.app["certs"]:
            raise Refused("Hostname already exists on app (Request ID: 01ABC-nrt)")
        self.app["certs"][host] = {"status": "pending_ownership"}
        return self._certificate(host)

    def certs_check(self) -> Any:
        return self._certificate(self.arguments[0])

    def _certificate(self, host: str) -> Any:
        found = self.app["certs"].get(host)
        if found is None:
            raise Refused("certificate not found (Request ID: 01ABC-nrt)")
        active = found["status"] == "active"
        return {
            "hostname": host,
            "configured": active,
            "status": found["status"],
            "certificates": [{"source": "fly", "status": found["status"], "issued": found.get("issued", [])}],
            "dns_requirements": {
                "a": ["203.0.113.7"],
                "aaaa": ["2001:db8:1::1"],
                "cname": f"d4735e3.{self.name}.fly.dev",
                "acme_challenge": {"name": f"_acme-challenge.{host}", "target": f"{host}.d4735e3.flydns.net"},
                "ownership": {"name": f"_fly-ownership.{host}", "app_value": "app-d4735e3", "org_value": "org-4242"},
            },
            "dns_records": found.get("dns", {"a": [], "aaaa": [], "cname": [], "ownership_txt": None}),
        }

    def certs_remove(self) -> str:
        if "--yes" not in self.flags:
            raise Refused("prompt: non interactive")
        if self.app["certs"].pop(self.arguments[0], None) is None:
            raise Refused("certificate not found")
        return f"✓ Certificate {self.arguments[0]} deleted from app {self.name}\n"

    def tokens_create_deploy(self) -> Any:
        if not re.fullmatch(r"\d+[hms]", self.flags.get("--expiry", "1h")):
            raise Refused("invalid duration")
        token = {"id": self._new("tok_"), "name": self.flags.get("--name", "flyctl deploy token"), "revoked": ""}
        token |= {
            "ends": self.state.get("token_ends", "2099-01-01 00:00:00 +0000 UTC"),
            "value": f"FlyV1 fm2_{self._new()}",
        }
        self.app["tokens"].append(token)
        return {"token": token["value"]}

    def tokens_list(self) -> str:
        rows = [
            f" {each['id']} │ {each['name']} │ test@example.com │ {each['ends']} │ {each['revoked']} "
            for each in self.app["tokens"]
        ]
        return "\n".join(
            [f'Tokens for app "{self.name}":', " ID │ NAME │ CREATED BY │ EXPIRES AT │ REVOKED AT ", *rows, ""]
        )

    def tokens_revoke(self) -> str:
        known = [each for app in self.state["apps"].values() for each in app["tokens"] if each["id"] in self.arguments]
        for each in known:
            each["revoked"] = "2026-11-22 00:00:00 +0000 UTC"
        return f"Revoked\n{len(known)} tokens revoked\n"

    # scale, log

    def scale_show(self) -> Any:
        machines = self.app["machines"]
        regions = {each["region"]: sum(other["region"] == each["region"] for other in machines) for each in machines}
        row = {"Process": "app", "Count": len(machines), "CPUs": 1, "Memory": 256, "Regions": regions}
        return [row] if machines else []

    def scale_count(self) -> str:
        """As the real one reckons: regions get machines from the first on, whatever they have."""
        machines = self.app["machines"]
        now: dict[str, int] = {}
        for each in machines:
            now[each["region"]] = now.get(each["region"], 0) + 1
        regions = self.flags["--region"].split(",") if "--region" in self.flags else list(now)
        diffs = _converged(int(self.arguments[0]), now, regions)
        if "--yes" not in self.flags:
            raise Refused("--yes flag must be specified when not running interactively")
        for region, diff in diffs.items():
            for _ in range(diff):
                self._launch(region)
            for _ in range(-diff):
                machines.remove(next(each for each in machines if each["region"] == region))
        return "Executing scale plan\n"

    def scale_vm(self) -> str:
        for each in self.app["machines"]:
            each["memory"] = int(self.flags["--vm-memory"])
        return "Scaled VM Type\n"

    def logs(self) -> str:
        rows = [
            {"level": "info", "instance": each["id"], "message": f"machine {each['id']} runs", "region": each["region"],
             "timestamp": "2026-11-22T13:22:45Z", "meta": {"Event": {"Provider": "app"}}}
            for each in self.app["machines"]
        ]  # fmt: skip
        if "--json" in self.flags:
            return "".join(json.dumps(row, indent=4) + "\n" for row in rows)
        return "".join(f"{row['timestamp']} {row['message']}\n" for row in rows)


def imported(text: str) -> list[tuple[str, str]]:
    """flyctl's reading of `secrets import`, with its faults."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if len(line.encode()) >= 64 << 10:
            break  # the scanner stops there, and its error is never looked at
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise Refused(f"Secrets must be provided as NAME=VALUE pairs ({line} is invalid)")
        value = value.lstrip(" ")
        if "#" in value and value[: value.index("#")].count('"') % 2 == 0:
            value = value[: value.index("#")]
        if value.startswith('"""'):
            break  # an unfinished block is dropped without a word
        for quote in ('"', "'"):
            if len(value) >= 2 and value[0] == value[-1] == quote:
                value = value[1:-1]
                break
        found.append((name.strip(), value))
    return found


def _converged(expected: int, now: Mapping[str, int], regions: Sequence[str]) -> dict[str, int]:
    diffs = dict.fromkeys(regions, 0)
    missing = expected - sum(now.get(region, 0) for region in regions)
    place = 0
    while missing > 0:
        diffs[regions[place % len(regions)]] += 1
        missing, place = missing - 1, place + 1
    place = -1
    while missing < 0:
        region = regions[-place % len(regions)]
        if now.get(region, 0) + diffs[region] > 0:
            diffs[region] -= 1
            missing += 1
        place -= 1
    return diffs


if __name__ == "__main__":
    try:
        code, out, err = run(sys.argv[2:], sys.stdin.buffer.read(), os.environ, Path(sys.argv[1]))
    except KeyboardInterrupt:
        code, out, err = 127, "", ""
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(code)
