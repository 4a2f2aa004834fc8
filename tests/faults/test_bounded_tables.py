"""What is remembered has a size: the tables and answers whose bound no other test shows."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.api.headers import MAX_VALUE_BYTES, told
from service.errors import Failure, Kind
from service.events import File
from service.gateway import MAX_ENDED
from service.observe.metrics import MAX_SERIES, Metrics
from service.observe.record import MAX_DROPPED, MAX_NOTICES, Record
from service.stages import commit
from service.wires import opaque, uploads
from service.wires.bot_files import MAX_FILES, Files
from service.wires.bot_text import MAX_HELD_FILES, AnswerText
from tests.faults.gateways import door, fresh
from tests.faults.proxy import Call, FaultProxy, Rule, Script
from tests.faults.reply import ask, read
from tests.faults.speech import right, says
from tests.faults.test_bounds import question
from tests.running import Running


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(right) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(proxy: FaultProxy) -> Iterator[Running]:
    with door(proxy.url) as server:
        yield server


def record(number: int = 0) -> Record:
    return Record(f"req-{number}", "chat", "/chat/completions", lambda ended: None)


def test_label_sets_beyond_the_fence_share_one_series() -> None:
    metrics = Metrics()
    ended = []
    for number in range(MAX_SERIES + 50):
        each = record(number)
        each.series_model = f"model-{number}"
        each.end("ok", 200)
        ended.append(each)
    metrics.finished(ended)
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [each for family in families for each in family.samples if each.name == "poe_proxy_requests_total"]
    assert len(samples) == MAX_SERIES + 1
    assert {each.value for each in samples if each.labels["model"] == "other"} == {50.0}


def test_a_record_keeps_only_so_much_and_a_header_tells_only_so_much() -> None:
    one = record()
    for number in range(1_000):
        one.notice(f"notice {number} " + "x" * 100)
        one.drop(f"member_{number}")
    assert (len(one.notices), len(one.dropped)) == (MAX_NOTICES, MAX_DROPPED)
    assert max(len(value) for _, value in told(one)) == MAX_VALUE_BYTES


def test_ended_requests_are_told_before_they_are_many(server: Running, proxy: FaultProxy) -> None:
    with fresh(server, proxy.url) as gateway:

        def end_many() -> int:
            for number in range(MAX_ENDED * 3):
                each = Record(f"req-{number}", "chat", "/x", gateway.gateway.finished)
                each.end("ok", 200)
            return gateway.log.getvalue().count(b'"message":"request"')

        assert gateway.call(end_many) == MAX_ENDED * 3


def test_what_providers_want_back_is_kept_for_so_many_calls_and_not_if_large() -> None:
    store = opaque.OpaqueStore()
    store.keep("large", {"signature": "x" * opaque.MAX_BYTES})
    assert store.get("large") is None
    for number in range(opaque.MAX_CALLS + 3):
        store.keep(f"call-{number}", {"n": number})
    assert [store.get(f"call-{number}") is None for number in range(5)] == [True, True, True, False, False]


def test_a_bot_gives_only_so_many_files() -> None:
    held = AnswerText(held=True, media=False, files_repeated=False)
    for number in range(MAX_HELD_FILES):
        held.file(File(f"https://files.example/{number}"), None)
    with pytest.raises(Failure) as caught:
        held.file(File("https://files.example/more"), None)
    assert caught.value.kind is Kind.BROKEN
    files = Files(repeated=False)
    waiting = [files.file(File(f"https://files.example/{number}"), f"ref{number}") for number in range(MAX_FILES + 2)]
    assert [len(events) for events in waiting[-3:]] == [0, 1, 1]


def long_answer(call: Call) -> Script:
    return says(call, ["word " * 100] * 1000)


def test_an_answer_that_is_collected_may_only_be_so_long(
    server: Running, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "MAX_COLLECTED_BYTES", 20_000)
    proxy.reset(Rule(long_answer))
    with fresh(server, proxy.url) as gateway:
        whole = read(question(gateway, "bot", stream=False))
        assert whole.error is not None
        assert whole.error["code"] == "upstream_error"
        streamed = read(question(gateway, "bot", stream=True))
        assert streamed.done, "a stream is not collected"
        assert len(streamed.text) == 500_000


def test_a_prompt_may_only_have_so_many_attachments(server: Running, proxy: FaultProxy) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}}
    proxy.reset()
    content = [{"type": "text", "text": "hi"}, *[image] * (uploads.MAX_ATTACHMENTS + 1)]
    with fresh(server, proxy.url) as gateway, httpx.Client(timeout=20) as client:
        messages = [{"role": "user", "content": content}]
        response = ask(client, gateway.url, stream=False, wire="bot", messages=messages)
        assert response.status_code == 400, orjson.loads(response.content)
        assert str(uploads.MAX_ATTACHMENTS) in response.json()["error"]["message"]
        assert [call for call in proxy.calls if call.wire in ("upload", "bot")] == []
