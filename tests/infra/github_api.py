"""GitHub's API on loopback: of one repository what the Terraform provider asks for, with state and a log."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

OWNER, NAME, ID = "acme", "poe-proxy", 42
EPOCH = "2026-11-01T00:00:00Z"

Json = dict[str, Any]
Answer = tuple[int, Any]


@dataclass
class Environment:
    """One environment: its protection, and what it holds by name."""

    said: Json = field(default_factory=dict)
    policies: dict[int, Json] = field(default_factory=dict)
    variables: dict[str, Json] = field(default_factory=dict)
    secrets: dict[str, Json] = field(default_factory=dict)


@dataclass
class Repository:
    """What the stand-in knows. `log` has method and path of each request that changed something."""

    url: str
    environments: dict[str, Environment] = field(default_factory=dict)
    rulesets: dict[int, Json] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    numbers: int = 100

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def set_secret(self, environment: str, name: str, when: str = EPOCH) -> None:
        """What `gh secret set` does; the value is nobody's business here."""
        held = self.environments.setdefault(environment, Environment()).secrets
        held[name] = {"name": name, "created_at": held.get(name, {}).get("created_at", when), "updated_at": when}

    def set_variable(self, environment: str, name: str, value: str) -> None:
        """What `gh variable set` does."""
        held = self.environments.setdefault(environment, Environment()).variables
        held[name] = {"name": name, "value": value, "created_at": EPOCH, "updated_at": EPOCH}

    def repository(self) -> Answer:
        owner = {"login": OWNER, "type": "Organization"}
        return 200, {"id": ID, "node_id": "R_1", "name": NAME, "full_name": f"{OWNER}/{NAME}", "owner": owner}

    def list_environments(self) -> Answer:
        found = [{"id": 1, "node_id": "E_1", "name": name} for name in self.environments]
        return 200, {"total_count": len(found), "environments": found}

    def put_environment(self, body: Json, name: str) -> Answer:
        self.environments.setdefault(name, Environment()).said = body
        return self.get_environment(name)

    def get_environment(self, name: str) -> Answer:
        if name not in self.environments:
            return 404, {"message": "Not Found"}
        said = self.environments[name].said
        users = [{"type": "User", "reviewer": {"id": each["id"]}} for each in said.get("reviewers") or ()]
        review = {"type": "required_reviewers", "prevent_self_review": said.get("prevent_self_review", False)}
        rules = [{"id": 1, "type": "branch_policy"}]
        if users:
            rules.append({"id": 2, **review, "reviewers": users})
        kept = {key: said.get(key) for key in ("deployment_branch_policy", "can_admins_bypass")}
        return 200, {"id": 1, "node_id": "E_1", "name": name, "protection_rules": rules, **kept}

    def delete_environment(self, name: str) -> Answer:
        del self.environments[name]
        return 204, None

    def post_policy(self, body: Json, name: str) -> Answer:
        number = self.number()
        self.environments[name].policies[number] = {"id": number, "type": "branch", **body}
        return 200, self.environments[name].policies[number]

    def get_policy(self, name: str, number: str) -> Answer:
        return 200, self.environments[name].policies[int(number)]

    def delete_policy(self, name: str, number: str) -> Answer:
        del self.environments[name].policies[int(number)]
        return 204, None

    def post_variable(self, body: Json, name: str) -> Answer:
        if body["name"] in self.environments[name].variables:
            return 409, {"message": "Already exists"}
        self.set_variable(name, body["name"], body["value"])
        return 201, {}

    def patch_variable(self, body: Json, name: str, variable: str) -> Answer:
        self.set_variable(name, variable, body["value"])
        return 204, None

    def list_variables(self, name: str) -> Answer:
        found = list(self.environments[name].variables.values())
        return 200, {"total_count": len(found), "variables": found}

    def get_variable(self, name: str, variable: str) -> Answer:
        return 200, self.environments[name].variables[variable]

    def delete_variable(self, name: str, variable: str) -> Answer:
        del self.environments[name].variables[variable]
        return 204, None

    def public_key(self, name: str) -> Answer:
        # A point of order 8 would be refused; this is the base point of Curve25519.
        return 200, {"key_id": "1", "key": base64.b64encode(bytes([9, *[0] * 31])).decode()}

    def list_secrets(self, name: str) -> Answer:
        found = list(self.environments[name].secrets.values())
        return 200, {"total_count": len(found), "secrets": found}

    def put_secret(self, body: Json, name: str, secret: str) -> Answer:
        self.set_secret(name, secret)
        return 201, {}

    def get_secret(self, name: str, secret: str) -> Answer:
        held = self.environments[name].secrets if name in self.environments else {}
        return (200, held[secret]) if secret in held else (404, {"message": "Not Found"})

    def delete_secret(self, name: str, secret: str) -> Answer:
        del self.environments[name].secrets[secret]
        return 204, None

    def post_ruleset(self, body: Json) -> Answer:
        number = self.number()
        source = {"source": f"{OWNER}/{NAME}", "source_type": "Repository", "node_id": "RS_1"}
        self.rulesets[number] = {"id": number, **source, **body}
        return 201, self.rulesets[number]

    def get_ruleset(self, number: str) -> Answer:
        return 200, self.rulesets[int(number)]

    def delete_ruleset(self, number: str) -> Answer:
        del self.rulesets[int(number)]
        return 204, None


REPO = f"repos/{OWNER}/{NAME}"
ENVIRONMENT = rf"(?:repositories/{ID}|{REPO})/environments/([\w-]+)"
ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", f"orgs/{OWNER}", lambda _: (200, {"id": 1, "login": OWNER, "plan": {"name": "team"}})),
    ("GET", REPO, Repository.repository),
    ("GET", f"{REPO}/environments", Repository.list_environments),
    ("PUT", ENVIRONMENT, Repository.put_environment),
    ("GET", ENVIRONMENT, Repository.get_environment),
    ("DELETE", ENVIRONMENT, Repository.delete_environment),
    ("POST", f"{ENVIRONMENT}/deployment-branch-policies", Repository.post_policy),
    ("GET", rf"{ENVIRONMENT}/deployment-branch-policies/(\d+)", Repository.get_policy),
    ("DELETE", rf"{ENVIRONMENT}/deployment-branch-policies/(\d+)", Repository.delete_policy),
    ("POST", f"{ENVIRONMENT}/variables", Repository.post_variable),
    ("GET", f"{ENVIRONMENT}/variables", Repository.list_variables),
    ("GET", rf"{ENVIRONMENT}/variables/(\w+)", Repository.get_variable),
    ("PATCH", rf"{ENVIRONMENT}/variables/(\w+)", Repository.patch_variable),
    ("DELETE", rf"{ENVIRONMENT}/variables/(\w+)", Repository.delete_variable),
    ("GET", f"{ENVIRONMENT}/secrets/public-key", Repository.public_key),
    ("GET", f"{ENVIRONMENT}/secrets", Repository.list_secrets),
    ("PUT", rf"{ENVIRONMENT}/secrets/(\w+)", Repository.put_secret),
    ("GET", rf"{ENVIRONMENT}/secrets/(\w+)", Repository.get_secret),
    ("DELETE", rf"{ENVIRONMENT}/secrets/(\w+)", Repository.delete_secret),
    ("POST", f"{REPO}/rulesets", Repository.post_ruleset),
    ("GET", rf"{REPO}/rulesets/(\d+)", Repository.get_ruleset),
    ("DELETE", rf"{REPO}/rulesets/(\d+)", Repository.delete_ruleset),
]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _serve(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = urlsplit(self.path).path.removeprefix("/api/v3/")
        status, answer = self._found(path, body)
        if self.command != "GET":
            self.server.repository.log.append(f"{self.command} {path}")
        raw = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _found(self, path: str, body: Json) -> Answer:
        for method, pattern, answer in ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                given = [body] if method in ("PUT", "POST", "PATCH") else []
                return answer(self.server.repository, *given, *match.groups())
        return 501, {"message": f"the stand-in does not know {self.command} {path}"}

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The listener, with the repository that it knows."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repository = Repository(f"http://127.0.0.1:{self.server_address[1]}/")


@contextmanager
def serving() -> Iterator[Repository]:
    """GitHub for as long as it is needed."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.repository
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
