"""The process as an operator meets it: how it starts, what it prints, and how it ends."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.ports import Port

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "access-token-of-the-tests"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
START_SECONDS = 20.0


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "service", *options]


def ended(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end by itself."""
    return subprocess.run(
        command(*options),
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class Process:
    """A service that runs in a process of its own."""

    def __init__(self, folder: Path, options: tuple[str, ...], environment: dict[str, str]) -> None:
        self._ports = (Port(), Port())
        self.port, self.metrics_port = (each.number for each in self._ports)
        given = {"METRICS_PORT": str(self.metrics_port), "HOST": "127.0.0.1", **environment}
        self._log, self._errors = folder / "log", folder / "errors"
        with self._log.open("wb") as log, self._errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                command("--port", str(self.port), *options),
                cwd=folder,
                env={**ENVIRONMENT, **given},
                stdout=log,
                stderr=errors,
            )
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What is in the log, but for a line that is being written."""
        whole = self._log.read_bytes().rpartition(b"\n")[0]
        return [orjson.loads(line) for line in whole.splitlines()]

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text

    def is_draining(self) -> bool:
        ready = httpx.get(f"{self.url}/ready")
        return (ready.status_code, ready.json()["status"]) == (503, "draining")

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.popen.poll() is None, self.errors
            try:
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(f"not ready: {self.errors}")

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for each in self._ports:
            each.close()


@contextmanager
def process(folder: Path, *options: str, **environment: str) -> Iterator[Process]:
    running = Process(folder, options, environment)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.end()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


SANDBOX = {"SANDBOX": "1", "ACCESS_TOKENS": f"tests:{TOKEN}"}


def ask(running: Process, text: str, model: str = "sandbox-slow", **members: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "POE_API_KEYS"),
        ({"SANDBOX": "1"}, "ACCESS_TOKENS"),
        ({"POE_API_KEYS": "your-api-key-1", **SANDBOX}, "POE_API_KEYS"),
        ({"POE_API_KEYS": "a-good-looking-key,,b", **SANDBOX}, "POE_API_KEYS"),
        ({"ACCESS_TOKENS": "short-secret", "SANDBOX": "1"}, "ACCESS_TOKENS"),
        ({"KEEPALIVE": "soon", **SANDBOX}, "KEEPALIVE"),
        ({"MAX_BODY": "20 elephants", **SANDBOX}, "MAX_BODY"),
        ({"CONFIG_FILE": "nowhere.toml", **SANDBOX}, "CONFIG_FILE"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start(tmp_path: Path, environment: dict[str, str], named: str) -> None:
    result = ended(tmp_path, **environment)
    assert result.returncode == 78
    assert result.stdout == ""
    assert named in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for secret in ("your-api-key-1", "a-good-looking-key", "short-secret"):
        assert secret not in result.stderr


def test_a_busy_port_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = ended(tmp_path, "--port", str(port), HOST="127.0.0.1", **SANDBOX)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "--port" in result.stderr
    assert str(port) in result.stderr


def test_a_busy_metrics_port_is_a_warning_at_a_desk_and_the_end_elsewhere(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Port() as free:
        port = str(taken.getsockname()[1])
        result = ended(tmp_path, HOST="127.0.0.1", PORT=str(free.number), METRICS_PORT=port, **SANDBOX)
        assert result.returncode == 1
        assert "METRICS_PORT" in result.stderr
        with process(tmp_path, "--dev", METRICS_PORT=port) as running:
            assert any("no metrics" in line["message"] for line in running.lines)


def test_the_printed_line_works_as_pasted(tmp_path: Path) -> None:
    with process(tmp_path, "--dev") as running:
        wait_for(lambda: bool(re.search("^curl .*\n", running.errors, re.MULTILINE)))
        line = next(line for line in running.errors.splitlines() if line.startswith("curl "))
        words = shlex.split(line)
        headers = dict(word.split(": ", 1) for word in words if re.match(r"[A-Za-z-]+: ", word))
        address = next(word for word in words if word.startswith("http"))
        reply = httpx.post(address, content=words[words.index("-d") + 1], headers=headers, timeout=20)
        assert reply.status_code == 200
        assert reply.headers["x-proxy-notice"] == "sandbox"
        assert reply.text.endswith("data: [DONE]\n\n")
        kept = tmp_path / "data" / "access-token"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert kept.read_text().strip() in line


STANDS_STILL = """
import asyncio, sys, time, weakref
from service import __main__

def stand_still(*_, **__):
    print("here", flush=True)
    time.sleep(60)

async def wait(*_):
    print("here", flush=True)
    await asyncio.sleep(60)

class Importing:
    def find_spec(self, name, *_):
        if name == "service.serve":
            if place == "the imports":
                stand_still()
            weakref.finalize(Importing(), stand_still)  # what it raises is lost

place = sys.argv.pop(1)
if place in ("the imports", "a callback"):
    sys.meta_path.insert(0, Importing())
else:
    from service import serve
    setattr(serve, *{"the making": ("make_app", stand_still), "the waiting": ("_until_started", wait)}[place])
sys.exit(__main__.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("place", ["the imports", "a callback", "the making", "the waiting"])
def test_a_signal_in_the_middle_of_the_start_is_no_failure(tmp_path: Path, place: str) -> None:
    environment = {**ENVIRONMENT, "HOST": "127.0.0.1", "METRICS_PORT": "0", **SANDBOX}
    with Port() as port:
        words = [sys.executable, "-c", STANDS_STILL, place, "--port", str(port.number)]
        with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as started:
            assert started.stdout
            try:
                assert started.stdout.readline() == b"here\n"
                started.send_signal(signal.SIGTERM)
                assert started.wait(timeout=START_SECONDS) == 0
            finally:
                started.kill()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_the_printed_line_works_for_ipv6(tmp_path: Path) -> None:
    with Port("::1") as free, (tmp_path / "log").open("wb") as log, (tmp_path / "errors").open("w+b") as errors:
        port = free.number
        options = command("--dev", "--host", "::1", "--port", str(port))
        started = subprocess.Popen(
            options, cwd=tmp_path, env={**ENVIRONMENT, "METRICS_PORT": "0"}, stdout=log, stderr=errors
        )
        deadline = time.monotonic() + START_SECONDS
        while b"curl" not in (said := (tmp_path / "errors").read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        started.terminate()
        assert started.wait(timeout=START_SECONDS) == 0
    assert f"curl -N http://[::1]:{port}/v1/chat/completions".encode() in said


def test_a_token_that_has_ended_is_told_of_at_the_start(tmp_path: Path) -> None:
    tokens = f"old:{TOKEN}-of-old@2020-01-01T00:00Z,new:{TOKEN}-of-new@2999-01-01T00:00Z"
    with process(tmp_path, **{**SANDBOX, "ACCESS_TOKENS": tokens}) as running:
        wait_for(lambda: any("ended" in line["message"] for line in running.lines))
        told = [line for line in running.lines if "ended" in line["message"]]
        assert [line["tenant"] for line in told] == ["old"]


def test_metrics_are_on_a_port_of_their_own(tmp_path: Path) -> None:
    with process(tmp_path, **SANDBOX) as running:
        assert ask(running, "hello", "sandbox-echo").status_code == 200
        wait_for(lambda: 'outcome="ok"' in running.metrics())
        text = running.metrics()
        assert "process_resident_memory_bytes" in text
        assert httpx.get(f"{running.url}/metrics").status_code == 404


class Held(BaseHTTPRequestHandler):
    """A Poe that says one word, and the rest when it is told to."""

    protocol_version = "HTTP/1.1"
    server: Poe

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self._say("one", None)
        assert self.server.go_on.wait(30)
        self._say(" two", "stop")
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _say(self, word: str, finish: str | None) -> None:
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": finish}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.wfile.write(b"data: " + orjson.dumps(chunk) + b"\n\n")

    def log_message(self, *_: object) -> None:
        pass


class Poe(ThreadingHTTPServer):
    """The listener of `Held`; `go_on` lets its answers end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Held)
        self.go_on = threading.Event()


@pytest.fixture
def poe() -> Iterator[Poe]:
    with Poe() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@contextmanager
def streaming(running: Process, text: str, model: str = "sandbox-slow", **headers: str) -> Iterator[Iterator[str]]:
    """The lines of a stream that has begun."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=body, headers=headers, timeout=30) as reply:
        lines = reply.iter_lines()
        assert "content" in next(line for line in lines if line.startswith("data: "))
        yield lines


def test_a_drain_finishes_what_is_open_and_refuses_what_is_new(tmp_path: Path, poe: Poe) -> None:
    keys = {"POE_API_KEYS": "first:poe-key-first-0000", "ACCESS_TOKENS": TOKEN}
    upstream = f"http://127.0.0.1:{poe.server_port}"
    with process(tmp_path, POE_BASE_URL=upstream, **keys) as running:
        with streaming(running, "hello", "some-model", **{"x-proxy-wire": "chat"}) as lines:
            running.popen.send_signal(signal.SIGTERM)
            wait_for(running.is_draining)
            assert httpx.get(f"{running.url}/health").status_code == 200
            late = ask(running, "hello", "some-model")
            assert late.status_code == 503
            assert late.headers["retry-after"]
            assert late.json()["error"]["code"] == "overloaded"
            poe.go_on.set()
            assert "data: [DONE]" in list(lines)
        assert running.popen.wait(10) == 0


def test_a_stream_longer_than_the_drain_ends_with_an_honest_error(tmp_path: Path) -> None:
    with process(tmp_path, DRAIN_TIMEOUT="0.5", **SANDBOX) as running:
        with streaming(running, "speed: 2\n" + "word " * 60) as lines:
            running.popen.send_signal(signal.SIGTERM)
            *_, last = [line for line in lines if line]
        assert running.popen.wait(10) == 0
        assert orjson.loads(last.removeprefix("data: "))["error"]["code"] == "overloaded"


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with process(tmp_path, **SANDBOX) as running:
        results: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: results.append(ask(running, "speed: 1\n" + "word " * 60)))
        thread.start()
        wait_for(lambda: "poe_proxy_open_streams 1.0" in running.metrics())
        running.popen.send_signal(signal.SIGTERM)
        wait_for(running.is_draining)
        running.popen.send_signal(signal.SIGTERM)
        assert running.popen.wait(10) == 0  # a minute before the answer is whole
        thread.join(10)
        assert results[0].json()["error"]["code"] == "overloaded"


COLLECTOR = """
import gc
from service import __main__, serve
serve.run = lambda settings, development: gc.isenabled()
assert __main__.main([]) is False
serve.calm_collector()
assert gc.isenabled()
assert gc.get_freeze_count() > 10_000
assert gc.get_threshold()[0] > 700
"""


def test_garbage_is_looked_for_when_the_service_serves_and_not_before(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECTOR], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
