"""A stand-in of Fly's APIs: of GraphQL, the Machines API and the REST one, what our tasks make flyctl ask.

It has state, keeps a log of its requests, is a proxy that lets nobody through, and fails on demand: `500`, `429`,
`lost` (done, but not answered) or `slow`.
GraphQL objects hold more than was asked for; flyctl ignores the rest.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = "2026-11-22T13:22:43Z"
ORGANIZATION = {
    "id": "org1personal",
    "slug": "personal",
    "rawSlug": "personal",
    "name": "Test User",
    "type": "PERSONAL",
    "paidPlan": True,
    "billable": True,
    "viewerRole": "admin",
    "internalNumericId": "4242",
    "addOns": {"nodes": []},
}
SLOW_SECONDS = 5.0
Row = dict[str, Any]


class Refused(Exception):
    """An answer of the API that is no success: its status and its sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass
class Fault:
    """Which request fails how: the nth that matches."""

    pattern: str
    how: str
    nth: int = 1


@dataclass
class Platform:
    """Fly, for one organisation."""

    apps: dict[str, Row] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    images: set[str] = field(default_factory=set)
    sick: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    number: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def new(self, prefix: str = "") -> str:
        self.number += 1
        return prefix + hashlib.sha256(str(self.number).encode()).hexdigest()[:14]

    def app(self, name: str) -> Row:
        if name not in self.apps:
            raise Refused(404, f'Could not find App "{name}"')
        return self.apps[name]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """One request; `Refused` for one that fails."""
        if path == "/graphql":
            return self.graphql(str(body.get("query", "")), body.get("variables") or {})
        for route_method, pattern, handler in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and route_method == method:
                return handler(self, found.groups(), query, body)
        raise Refused(501, f"the stand-in does not know {method} {path}")

    # GraphQL

    def graphql(self, document: str, variables: Row) -> Row:
        data: Row = {}
        try:
            for alias, name in top_fields(document):
                data[alias] = self.field(name, variables, document)
        except Refused as refused:
            return {"data": None, "errors": [{"message": str(refused), "extensions": {"code": "NOT_FOUND"}}]}
        return {"data": data}

    def field(self, name: str, variables: Row, document: str) -> Any:
        handler = FIELDS.get(name)
        if handler is None:
            raise Refused(501, f"the stand-in does not know the field {name} of {document[:200]}")
        return handler(self, variables)

    def create_token(self, variables: Row) -> Row:
        token = {"id": self.new("tok_"), "name": variables["name"], "token": f"FlyV1 fm2_{self.new()}"}
        token |= {"expiresAt": "2099-01-01T00:00:00Z", "revokedAt": None, "user": {"email": "test@example.com"}}
        self.app(str(variables["profileParams"]["app_id"]))["tokens"].append(token)
        return {"limitedAccessToken": {"tokenHeader": token["token"]}}

    def revoke_token(self, variables: Row) -> Row:
        wanted = variables["input"]["id"]
        for token in [token for app in self.apps.values() for token in app["tokens"] if token["id"] == wanted]:
            token["revokedAt"] = NOW
        return {"token": wanted}

    def graphql_app(self, name: str, variables: Row) -> Row:
        app = self.app(name)
        releases = [self.graphql_release(each) for each in reversed(app["releases"])]
        current = {**releases[0], "configDefinition": app["releases"][-1]["definition"]} if releases else None
        image = str(variables.get("ref") or variables.get("imageRef") or "")
        shared = [each["ip"] for each in app["ips"] if each["shared"]]
        nodes = [
            {
                "id": f"ip{place}",
                "address": each["ip"],
                "type": "v6",
                "region": "global",
                "createdAt": NOW,
                "network": None,
            }
            for place, each in enumerate(app["ips"])
            if not each["shared"]
        ]
        return {
            "id": name,
            "internalNumericId": 2,
            "name": name,
            "hostname": f"{name}.fly.dev",
            "appUrl": f"https://{name}.fly.dev",
            "cnameTarget": f"d4735e3.{name}.fly.dev",
            "deployed": bool(app["machines"]),
            "status": "deployed" if app["machines"] else "pending",
            "network": "default",
            "platformVersion": "machines",
            "version": len(releases),
            "organization": ORGANIZATION,
            "postgresAppRole": None,
            "role": None,
            "currentRelease": current,
            "currentReleaseUnprocessed": current,
            "releases": {"nodes": releases},
            "ipAddresses": {"nodes": nodes},
            "sharedIpAddress": shared[0] if shared else None,
            "egressIpAddresses": {"nodes": []},
            "limitedAccessTokens": {"nodes": app["tokens"]},
            "machines": {"nodes": []},
            "image": self.graphql_image(image) if image else None,
        }

    def graphql_image(self, reference: str) -> Row | None:
        if reference not in self.images:
            return None
        return {
            "id": f"img_{digest(reference)[7:23]}",
            "digest": digest(reference),
            "ref": reference,
            "compressedSize": "1000",
        }

    @staticmethod
    def graphql_release(release: Row) -> Row:
        return {
            "id": release["id"],
            "version": release["version"],
            "description": "Release",
            "reason": "",
            "status": release["status"],
            "imageRef": release["image_ref"],
            "stable": True,
            "inProgress": False,
            "user": {"id": "u1", "email": "test@example.com", "name": "Test User"},
            "createdAt": NOW,
        }

    def allocate(self, name: str, kind: str) -> Row:
        made = self.assign(name, kind)
        app = {"sharedIpAddress": made["ip"] if made["shared"] else None}
        address = {"id": "ip", "address": made["ip"], "type": kind, "region": "global", "createdAt": NOW}
        return {"app": app, "ipAddress": None if made["shared"] else address}

    def assign(self, name: str, kind: str) -> Row:
        ips = self.app(name)["ips"]
        address = f"2001:db8:1::{len(ips) + 1}" if "6" in kind else "203.0.113.7"
        made = {"ip": address, "region": "global", "service_name": "", "shared": "shared" in kind, "created_at": NOW}
        ips.append(made)
        return made

    # Machines

    def machine(self, name: str, machine: str) -> Row:
        found = next((each for each in self.app(name)["machines"] if each["id"] == machine), None)
        if found is None:
            raise Refused(404, "machine not found")
        return found

    def configured(self, name: str, machine: Row, given: Row) -> Row:
        """Give a machine its configuration: it runs at once, with the secrets of now."""
        config = given["config"]
        image = str(config["image"])
        repository, _, tag = image.partition("@")[0].removeprefix("registry.fly.io/").partition(":")
        sick = image.partition("@")[0] in self.sick
        machine |= {
            "config": config,
            "state": "started",
            "instance_id": self.new("01").upper(),
            "updated_at": NOW,
            "image_ref": {"registry": "registry.fly.io", "repository": repository, "tag": tag, "digest": digest(image)},
            "checks": [
                {
                    "name": "servicecheck-00-http-8080",
                    "status": "critical" if sick else "passing",
                    "output": "",
                    "updated_at": NOW,
                }
            ],
            "events": [
                {"id": self.new(), "type": "start", "status": "started", "source": "flyd", "timestamp": 1795353763409}
            ],
            "secrets": {key: each["value"] for key, each in self.app(name)["secrets"].items()},
        }
        return machine


def digest(reference: str) -> str:
    """What the registry would call this image."""
    return f"sha256:{hashlib.sha256(reference.partition('@')[0].encode()).hexdigest()}"


def top_fields(document: str) -> list[tuple[str, str]]:
    """The fields of the outermost selection: alias and name."""
    found: list[tuple[str, str]] = []
    depth, bare = 0, re.sub(r'"[^"]*"|#[^\n]*', "", document)
    place = bare.index("{") + 1
    while place < len(bare):
        if bare[place] in "{(":
            depth += 1
        elif bare[place] in "})":
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and (name := re.match(r"(?:(\w+)\s*:\s*)?(\w+)", bare[place:])):
            found.append((name[1] or name[2], name[2]))
            place += name.end()
            continue
        place += 1
    return found


Handler = Callable[[Platform, tuple[str, ...], dict[str, list[str]], Any], Any]


def _flaps_app(platform: Platform, name: str) -> Row:
    app = platform.app(name)
    return {
        "id": name,
        "name": name,
        "internal_numeric_id": 2,
        "network": "default",
        "status": "deployed" if app["machines"] else "pending",
        "machine_count": len(app["machines"]),
        "volume_count": 0,
        "organization": {"name": "Test User", "slug": "personal", "internal_numeric_id": 4242},
        "cname_target": f"d4735e3.{name}.fly.dev",
        "app_role": "",
    }


def _create_app(platform: Platform, _: Any, __: Any, body: Row) -> Row:
    if body["name"] in platform.apps or body["name"].startswith("taken"):
        raise Refused(422, "Validation failed: Name has already been taken")
    platform.apps[body["name"]] = {
        "machines": [],
        "releases": [],
        "ips": [],
        "tokens": [],
        "certs": {},
        "secrets": {},
        "secrets_version": 1,
    }
    return _flaps_app(platform, body["name"])


def _delete_app(platform: Platform, found: Any, *_: Any) -> Row:
    platform.app(found[0])
    del platform.apps[found[0]]
    return {}


def _list_apps(platform: Platform, _: Any, query: Any, __: Any) -> Row:
    # A builder that is none would be found broken, and deleted.
    return {"apps": [] if query.get("app_role") else [_flaps_app(platform, name) for name in platform.apps]}


def _secrets(platform: Platform, found: Any, *_: Any) -> Row:
    app = platform.app(found[0])
    return {
        "secrets": [
            {
                "name": name,
                "digest": hashlib.sha256(each["value"].encode()).hexdigest()[:16],
                "created_at": NOW,
                "updated_at": NOW,
            }
            for name, each in app["secrets"].items()
        ],
        "version": app["secrets_version"],
    }


def _set_secrets(platform: Platform, found: Any, query: Any, body: Row) -> Row:
    app = platform.app(found[0])
    app["secrets_version"] += 1
    for name, value in body["values"].items():
        if value is None:
            app["secrets"].pop(name, None)
        else:
            app["secrets"][name] = {"value": value, "version": app["secrets_version"]}
    return _secrets(platform, found, query, body)


def _ips(platform: Platform, found: Any, *_: Any) -> Row:
    return {"ips": platform.app(found[0])["ips"]}


def _assign(platform: Platform, found: Any, _: Any, body: Row) -> Row:
    return platform.assign(found[0], body["type"])


def _shown(machine: Row) -> Row:
    return {key: value for key, value in machine.items() if key not in ("secrets", "lease")}


def _machines(platform: Platform, found: Any, *_: Any) -> list[Row]:
    return [_shown(each) for each in platform.app(found[0])["machines"]]


def _launch(platform: Platform, found: Any, _: Any, body: Row) -> Row:
    name = found[0]
    machine = {
        "id": platform.new(),
        "name": platform.new("m-"),
        "region": body.get("region") or "iad",
        "private_ip": "fdaa:0:1::2",
        "created_at": NOW,
        "host_status": "ok",
        "cordoned": False,
    }
    platform.app(name)["machines"].append(platform.configured(name, machine, body))
    return _shown(machine)


def _one(platform: Platform, found: Any, *_: Any) -> Row:
    return _shown(platform.machine(*found))


def _update(platform: Platform, found: Any, _: Any, body: Row) -> Row:
    return _shown(platform.configured(found[0], platform.machine(*found), body))


def _destroy(platform: Platform, found: Any, *_: Any) -> Row:
    platform.app(found[0])["machines"].remove(platform.machine(*found))
    return {"ok": True}


def _wait(*_: Any) -> Row:
    return {"ok": True}


def _lease(platform: Platform, found: Any, *_: Any) -> Row:
    platform.machine(*found)
    return {
        "status": "success",
        "data": {
            "nonce": platform.new(),
            "expires_at": int(time.time()) + 60,
            "owner": "test@example.com",
            "version": "1",
        },
    }


def _processes(*_: Any) -> list[Row]:
    return []


def _certificate(platform: Platform, name: str, host: str) -> Row:
    found = platform.app(name)["certs"].get(host)
    if found is None:
        raise Refused(404, "certificate not found")
    ips = platform.app(name)["ips"]
    status = found["status"]
    return {
        "hostname": host,
        "configured": status == "active",
        "acme_requested": True,
        "status": status,
        "dns_provider": "enom",
        "certificates": [{"source": "fly", "status": status, "created_at": NOW, "issuer": "le", "issued": []}],
        "validation": {
            "dns_configured": False, "alpn_configured": False, "http_configured": False,
            "ownership_txt_configured": False,
        },
        "dns_requirements": {
            "a": [each["ip"] for each in ips if each["shared"]],
            "aaaa": [each["ip"] for each in ips if not each["shared"]],
            "cname": f"d4735e3.{name}.fly.dev",
            "acme_challenge": {"name": f"_acme-challenge.{host}", "target": f"{host}.d4735e3.flydns.net"},
            "ownership": {"name": f"_fly-ownership.{host}", "app_value": "app-d4735e3", "org_value": "org-4242"},
        },
        "dns_records": {"a": [], "aaaa": [], "cname": [], "resolved_addresses": [], "soa": None},
    }  # fmt: skip


def _certificates(platform: Platform, found: Any, *_: Any) -> Row:
    rows = []
    for host in platform.app(found[0])["certs"]:
        detail = _certificate(platform, found[0], host)
        rows.append(
            {key: detail[key] for key in ("hostname", "status", "dns_provider", "configured", "acme_requested")}
        )
    return {"certificates": rows, "total_count": len(rows), "next_cursor": ""}


def _add_certificate(platform: Platform, found: Any, _: Any, body: Row) -> Row:
    certs = platform.app(found[0])["certs"]
    if body["hostname"] in certs:
        raise Refused(422, "Hostname already exists on app")
    certs[body["hostname"]] = {"status": "pending_ownership"}
    return _certificate(platform, found[0], body["hostname"])


def _check_certificate(platform: Platform, found: Any, *_: Any) -> Row:
    return _certificate(platform, *found)


def _remove_certificate(platform: Platform, found: Any, *_: Any) -> Row:
    _certificate(platform, *found)
    del platform.app(found[0])["certs"][found[1]]
    return {}


def _organization(*_: Any) -> Row:
    return {
        "organization": {
            "id": "org1personal", "internal_numeric_id": 4242, "slug": "personal", "raw_slug": "personal",
            "name": "Test User", "paid_plan": True, "personal": True, "billable": True, "billing_status": "CURRENT",
            "remote_builder_image": "",
        }
    }  # fmt: skip


def _build(*_: Any) -> Row:
    return {"id": 7, "status": "started", "wallclock_time_ms": 1}


def _create_release(platform: Platform, _: Any, __: Any, body: Row) -> Row:
    releases = platform.app(body["app_name"])["releases"]
    release = {
        "id": platform.new("rel"),
        "version": len(releases) + 1,
        "stable": True,
        "in_progress": True,
        "status": "pending",
        "strategy": body["strategy"],
        "user": "test@example.com",
        "created_at": NOW,
        "image_ref": body["image"],
    }
    releases.append({**release, "definition": body["definition"], "app": body["app_name"]})
    return {"release": release, **release}


def _patch_release(platform: Platform, found: Any, _: Any, body: Row) -> Row:
    for app in platform.apps.values():
        for release in app["releases"]:
            if release["id"] == found[0]:
                release["status"] = body["status"]
                return {"release": _public(release), **_public(release)}
    raise Refused(404, "no such release")


def _public(release: Row) -> Row:
    return {key: value for key, value in release.items() if key not in ("definition", "app")}


def _releases(platform: Platform, found: Any, *_: Any) -> Row:
    return {"releases": [_public(each) for each in reversed(platform.app(found[0])["releases"])]}


def _logs(platform: Platform, found: Any, *_: Any) -> Row:
    rows = [
        {"id": each["id"], "attributes": {"timestamp": NOW, "message": f"machine {each['id']} runs", "level": "info",
         "instance": each["id"], "region": each["region"], "meta": {"event": {"provider": "app"}}}}
        for each in platform.app(found[0])["machines"]
    ]  # fmt: skip
    return {"data": rows, "meta": {"next_token": "end"}}


VIEWER = {"__typename": "User", "id": "u1", "email": "test@example.com", "name": "Test User"}
FIELDS: dict[str, Callable[[Platform, Row], Any]] = {
    "viewer": lambda *_: VIEWER,
    "organizations": lambda *_: {"nodes": [ORGANIZATION]},
    "organization": lambda *_: ORGANIZATION,
    "app": lambda platform, given: platform.graphql_app(str(given.get("appName") or given.get("name")), given),
    "allocateIpAddress": lambda platform, given: platform.allocate(given["input"]["appId"], given["input"]["type"]),
    "createLimitedAccessToken": Platform.create_token,
    "deleteLimitedAccessToken": Platform.revoke_token,
}
APP = r"/v1/apps/([^/]+)"
MACHINE = APP + r"/machines/([^/]+)"
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/v1/apps", _create_app),
    ("GET", "/v1/apps", _list_apps),
    ("GET", APP, lambda platform, found, *_: _flaps_app(platform, found[0])),
    ("DELETE", APP, _delete_app),
    ("GET", APP + "/secrets", _secrets),
    ("POST", APP + "/secrets", _set_secrets),
    ("GET", APP + "/ip_assignments", _ips),
    ("POST", APP + "/ip_assignments", _assign),
    ("GET", APP + "/machines", _machines),
    ("POST", APP + "/machines", _launch),
    ("GET", APP + "/volumes", lambda *_: []),
    ("GET", MACHINE, _one),
    ("POST", MACHINE, _update),
    ("DELETE", MACHINE, _destroy),
    ("GET", MACHINE + "/wait", _wait),
    ("GET", MACHINE + "/ps", _processes),
    ("GET", MACHINE + "/lease", _lease),
    ("POST", MACHINE + "/lease", _lease),
    ("DELETE", MACHINE + "/lease", _wait),
    ("GET", APP + "/certificates", _certificates),
    ("POST", APP + "/certificates/acme", _add_certificate),
    ("GET", APP + r"/certificates/([^/]+)", _check_certificate),
    ("POST", APP + r"/certificates/([^/]+)/check", _check_certificate),
    ("DELETE", APP + r"/certificates/([^/]+)", _remove_certificate),
    ("GET", r"/api/v1/organizations/([^/]+)", _organization),
    ("POST", "/api/v1/builds", _build),
    ("POST", "/api/v1/builds/finish", _build),
    ("POST", "/api/v1/releases", _create_release),
    ("PATCH", r"/api/v1/releases/([^/]+)", _patch_release),
    ("GET", r"/api/v1/apps/([^/]+)/releases", _releases),
    ("GET", r"/api/v1/apps/([^/]+)/logs", _logs),
)


@contextmanager
def serving(platform: Platform, beside: Callable[[str, Any], tuple[int, Any] | None]) -> Iterator[str]:
    """All APIs on one loopback port; `beside` answers what else is asked there: path and headers → status and body."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            with platform.lock:
                answered = beside(self.path, self.headers) if self.command == "GET" else None
            status, body = answered or _answered(platform, self.command, self.path, raw)
            if status == 0:
                self.close_connection = True
                return
            sent = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("fly-request-id", "01ABC-nrt")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def do_CONNECT(self) -> None:
            """Somebody wants to go elsewhere: noted, and refused."""
            platform.elsewhere.add(self.path)
            self.send_error(502)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that leaves is no error."""

    with Server(("127.0.0.1", 0), Requests) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _answered(platform: Platform, method: str, target: str, raw: bytes) -> tuple[int, Any]:
    parts = urlsplit(target)
    body = json.loads(raw) if raw else {}
    named = ",".join(name for _, name in top_fields(body["query"])) if parts.path == "/graphql" else ""
    line = f"{method} {parts.path} {named}".strip()
    with platform.lock:
        platform.requests.append(line)
        how = _fault(platform, line)
        if how in ("500", "429"):
            return int(how), {"error": "on demand"}
        try:
            status, answer = 200, platform.answer(method, parts.path, parse_qs(parts.query), body)
        except Refused as refused:
            status, answer = refused.status, {"error": str(refused)}
    if how == "slow":
        time.sleep(SLOW_SECONDS)
    return (0, None) if how == "lost" else (status, answer)


def _fault(platform: Platform, line: str) -> str:
    for fault in platform.faults:
        if re.search(fault.pattern, line):
            fault.nth -= 1
            if fault.nth == 0:
                return fault.how
    return ""
