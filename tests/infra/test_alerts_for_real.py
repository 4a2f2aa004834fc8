"""A real Prometheus scrapes the real service and fires: what is measured and what is asked fit together."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from infra import alerts
from tests.ports import Port
from tests.test_serve import TOKEN, Process, process

PATIENCE_SECONDS = 20.0
EVERY = "200ms"

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus (Debian: prometheus)")


class Refusing(BaseHTTPRequestHandler):
    """A Poe that takes no key."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"error": {"message": "Invalid API key", "type": "authentication_error", "code": 401}}'
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def poe() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[str]:
    """Prometheus on our rules, which here wait for nothing; it labels what it scrapes as Fly's does."""
    rules = yaml.safe_load(alerts.rules())
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "0s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    job = {
        "job_name": "service",
        "static_configs": [{"targets": [f"127.0.0.1:{target}"], "labels": {"app": alerts.APP, "region": "nrt"}}],
    }
    times = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    config = {"global": times, "rule_files": ["rules.yaml"], "scrape_configs": [job]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = Port()
    with (folder / "prometheus.log").open("wb") as log:
        running = subprocess.Popen(
            (
                "prometheus",
                "--config.file=prometheus.yaml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port.number}",
                "--log.level=warn",
            ),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port.number}"
    finally:
        running.terminate()
        running.wait(10)
        port.close()


def firing(url: str) -> set[tuple[str, str]]:
    """Name of each alert that fires now, and the key that it is about."""
    try:
        found = httpx.get(f"{url}/api/v1/alerts", timeout=2).json()["data"]["alerts"]
    except (httpx.TransportError, ValueError):
        return set()
    return {(each["labels"]["alertname"], each["labels"].get("key", "")) for each in found if each["state"] == "firing"}


def wait_for(url: str, wanted: set[tuple[str, str]]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := firing(url)) != wanted:
        assert time.monotonic() < deadline, f"{found} fires, and not {wanted}"
        time.sleep(0.1)


def ask(service: Process) -> Any:
    return httpx.post(
        f"{service.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {TOKEN}"},
        json={"model": "claude-haiku-4.5", "messages": [{"role": "user", "content": "hello"}]},
        timeout=10,
    )


def test_alerts_fire_when_poe_refuses_every_key_and_when_the_service_is_gone(tmp_path: Path, poe: str) -> None:
    keys = {"POE_API_KEYS": "first:poe-key-first-0000,second:poe-key-second-0000", "ACCESS_TOKENS": TOKEN}
    with process(tmp_path, POE_BASE_URL=poe, **keys) as service:
        service.wait_until_ready()
        with prometheus(tmp_path, service.metrics_port) as url:
            assert "no_usable_key" in [ask(service).json()["error"]["code"] for _ in range(3)]
            wait_for(url, {("NoUsableKey", ""), ("KeyRevoked", "first"), ("KeyRevoked", "second")})
            service.popen.terminate()
            service.popen.wait(10)
            wait_for(url, {("GatewayAbsent", "")})
