"""The end of a process, as callers and Poe see it: beside what tests/test_serve.py shows."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.proxy import FOREVER, Call, FaultProxy, Rule, Script
from tests.faults.proxy import Seen as Held
from tests.faults.reply import Seen, ask, read
from tests.faults.speech import right, speech_for, words_of
from tests.faults.test_matrix import CLOSED_SECONDS, SLACK_SECONDS
from tests.running import TOKEN
from tests.test_serve import Process, process, wait_for
from tests.wires.upstream import answer

LIMIT_SECONDS = CLOSED_SECONDS + SLACK_SECONDS


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@contextmanager
def service(folder: Path, proxy: FaultProxy, **settings: str) -> Iterator[Process]:
    """A gateway in a process of its own, in front of the proxy."""
    given = {
        "POE_API_KEYS": "first:poe-key-first-0000",
        "ACCESS_TOKENS": f"tests:{TOKEN}",
        "POE_BASE_URL": proxy.url,
        "METRICS_PORT": "0",
        **settings,
    }
    with process(folder, **given) as running:
        yield running


class Callers:
    """Callers in threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor()
        self.client = httpx.Client(timeout=20)

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        self.client.close()

    def ask(self, *, stream: bool, wire: str = "chat") -> Future[Seen]:
        """Ask, and have the reply when it is there."""
        return self._threads.submit(lambda: read(ask(self.client, self._url, stream=stream, wire=wire)))


def nothing(call: Call) -> Script:
    return [FOREVER]


def words_and_silence(call: Call) -> Script:
    return [*speech_for(call).begun(3), FOREVER]


def held(call: Call) -> Script:
    """A right answer that goes on when the proxy's barrier lets it, whatever was asked for."""
    speech = speech_for(call)
    if not speech.streams:
        return [Held(), answer("200 OK", speech.json)]
    return [*speech.begun(3), Held(), *speech.rest(3)]


def test_nothing_to_wait_for_ends_at_once_though_connections_are_kept(tmp_path: Path, proxy: FaultProxy) -> None:
    proxy.reset()
    with service(tmp_path, proxy) as running, Callers(running.url) as callers:
        assert callers.ask(stream=True).result().done
        running.popen.send_signal(signal.SIGTERM)
        assert running.popen.wait(20) == 0
        assert [line for line in running.lines if line["level"] == "error"] == [], "it waited for them, and gave up"


def test_what_is_open_ends_as_it_would_have_and_nothing_new_begins(
    tmp_path: Path, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    async def wait() -> None:
        while not go_on.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.01)

    monkeypatch.setattr(proxy, "barrier", wait)
    proxy.reset(Rule(held))
    with service(tmp_path, proxy) as running, Callers(running.url) as callers:
        open_ = [callers.ask(stream=stream, wire=wire) for stream in (False, True) for wire in ("chat", "bot")]
        proxy.wait(lambda: len(proxy.asked()) == 4)
        running.popen.send_signal(signal.SIGTERM)
        wait_for(running.is_draining)
        for path in ("/v1/models", "/v1/models/gpt-4o"):
            late = callers.client.get(f"{running.url}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
            assert late.status_code == 503
            assert late.headers["retry-after"]
        assert read(ask(callers.client, running.url, stream=True, wire=None)).status == 503
        go_on.set()
        replies = [reply.result() for reply in open_]
        assert [reply.text for reply in replies if not reply.done] == []
        assert {reply.text for reply in replies} == {"".join(words_of(call)) for call in proxy.settled()}
        assert running.popen.wait(10) == 0
        assert [line["outcome"] for line in running.lines if line["message"] == "request" and line["key"]] == ["ok"] * 4


def check_ended(reply: Seen, *, stream: bool, text: bool) -> None:
    """An answer that the end of the process cut off says so, and never ends like a whole one."""
    assert reply.error is not None
    assert reply.error["code"] == "overloaded"
    assert reply.status == (200 if stream else 503)
    assert not reply.done
    assert (reply.text != "") is text
    if not stream:
        assert reply.headers["retry-after"]


def test_the_end_of_the_drain_is_told_to_whole_and_streamed_and_stops_poe(tmp_path: Path, proxy: FaultProxy) -> None:
    settings = {"DRAIN_TIMEOUT": "1", "HEAD_DEADLINE": "0.1", "KEEPALIVE": "0.1"}
    proxy.reset(Rule(words_and_silence, nth={1}), Rule(nothing))
    with service(tmp_path, proxy, **settings) as running, Callers(running.url) as callers:
        begun = callers.ask(stream=True)
        proxy.wait(lambda: len(proxy.asked()) == 1)
        waiting, whole = callers.ask(stream=True), callers.ask(stream=False)
        proxy.wait(lambda: len(proxy.asked()) == 3)
        time.sleep(0.3)
        running.popen.send_signal(signal.SIGTERM)
        check_ended(begun.result(), stream=True, text=True)
        check_ended(waiting.result(), stream=True, text=False)
        check_ended(whole.result(), stream=False, text=False)
        told_at = time.monotonic()
        assert running.popen.wait(10) == 0
        calls = proxy.settled()
        assert {call.end for call in calls} == {"left"}
        assert max(call.ended for call in calls) - told_at < LIMIT_SECONDS
        outcomes = [line["outcome"] for line in running.lines if line["message"] == "request" and line["key"]]
        assert outcomes == ["overloaded"] * 3


def test_a_second_signal_ends_streams_at_once_and_honestly(tmp_path: Path, proxy: FaultProxy) -> None:
    proxy.reset(Rule(words_and_silence))
    with service(tmp_path, proxy) as running, Callers(running.url) as callers:
        begun = callers.ask(stream=True)
        proxy.wait(lambda: len(proxy.asked()) == 1)
        time.sleep(0.2)
        running.popen.send_signal(signal.SIGTERM)
        wait_for(running.is_draining)
        assert not begun.done()
        signalled_at = time.monotonic()
        running.popen.send_signal(signal.SIGTERM)
        check_ended(begun.result(), stream=True, text=True)
        assert proxy.settled()[0].ended - signalled_at < LIMIT_SECONDS
        assert running.popen.wait(10) == 0
