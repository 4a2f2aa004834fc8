"""Asking until something is true, and asking once over HTTP: both end, and neither raises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from infra import grafana, http, smoke, waiting
from infra.smoke import Ready


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    # Of that module alone: other threads of this process live by the real one.
    monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=made.sleep, monotonic=lambda: made.now))
    return made


def test_a_good_answer_ends_it_at_once(clock: Clock) -> None:
    assert waiting.until(lambda: 7, lambda answer: answer == 7, 60.0) == 7
    assert clock.pauses == []


def test_it_asks_again_at_growing_distances_and_gives_the_last_answer(clock: Clock) -> None:
    answers = iter(range(1000))
    assert waiting.until(lambda: next(answers), lambda _: False, 30.0) > 8
    assert sum(clock.pauses) <= 30.0
    assert clock.pauses[0] == waiting.FIRST_PAUSE_SECONDS
    assert max(clock.pauses) == waiting.LONGEST_PAUSE_SECONDS


def test_without_patience_it_asks_once(clock: Clock) -> None:
    assert waiting.until(lambda: "bad", lambda _: False, 0.0) == "bad"
    assert clock.pauses == []


class Page(BaseHTTPRequestHandler):
    """Answers by path."""

    server: Quiet

    def do_GET(self) -> None:
        if self.path == "/silent":
            self.server.left.wait(50)
            return
        if self.path in ("/begun", "/begun-badly"):
            self.send_response(200 if self.path == "/begun" else 503)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.flush()
            self.server.left.wait(50)
            return
        self.send_response({"/moved": 302, "/bad": 500}.get(self.path, 200))
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("X-Seen", self.headers.get("Authorization", ""))
        self.end_headers()
        self.wfile.write(b"x" * (http.LARGEST_BODY_BYTES + 10) if self.path == "/large" else b'{"a": 1}')

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


class Quiet(ThreadingHTTPServer):
    """The listener of `Page`; `left` says that nobody waits for an answer any more."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.left = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A client that leaves is no error."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Quiet() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.left.set()
        server.shutdown()
        thread.join()


def test_an_answer(url: str) -> None:
    answer = http.get(f"{url}/", {"Authorization": "t"})
    assert (answer.status, answer.json(), answer.headers["x-seen"], str(answer)) == (200, {"a": 1}, "t", "HTTP 200")


def test_a_redirect_is_not_followed(url: str) -> None:
    """It could take a token elsewhere."""
    assert http.get(f"{url}/moved", {"Authorization": "t"}).status == 302


def test_grafanas_token_goes_to_no_other_host_either(url: str) -> None:
    assert grafana.Grafana(f"{url}/moved", "t").ask("GET", "") == (302, {})


def test_errors_are_answers(url: str) -> None:
    assert http.get(f"{url}/bad").status == 500
    assert len(http.get(f"{url}/large").body) == http.LARGEST_BODY_BYTES
    assert str(http.get(f"{url}/silent", seconds=0.2)) == "no answer in time"
    assert str(http.get("http://127.0.0.1:9/")) == "Connection refused"
    assert http.get("no url at all").status == 0
    assert http.get("file:///etc/passwd").status == 0
    assert http.get("http://[half").status == 0
    assert http.get(f"{url}/", {"Bad": "a\nb"}).status == 0


@pytest.mark.parametrize("path", ["/begun", "/begun-badly"])
def test_a_body_that_does_not_come_is_no_answer(url: str, path: str) -> None:
    assert str(http.get(f"{url}{path}", seconds=0.2)) == "no answer in time"


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b"[" * 200_000])
def test_no_json_is_none(body: bytes) -> None:
    assert http.Answer(200, body).json() is None


def test_lost_keys_are_not_waited_for() -> None:
    asked: list[Ready] = []

    def ask() -> Ready:
        asked.append(Ready("m1", "nrt", keys={"dry": 2}, problem="no Poe key is usable (2 dry)"))
        return asked[-1]

    assert smoke._patiently(ask, 2.0).problem == "no Poe key is usable (2 dry)"
    assert len(asked) == 1
