"""The bot wire over a real connection: limits to silence, departures, reuse, refusals, and lessons about bots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from time import perf_counter

import pytest

from service.errors import Failure, Kind
from service.events import Event, Finish, Progress, Text, ToolCall, read
from service.prompt import Call, MediaPart, Turn
from service.routing.model import Model
from service.wires import arriving, bot, client
from service.wires.bot import BotWire, Rewriters
from service.wires.client import Client
from service.wires.http import open_session
from service.wires.uploads import Uploads
from tests.wires.answers import DONE, call, chunk, event, text
from tests.wires.calls import SECRET, asking, events_of, timed, user
from tests.wires.upstream import Reset, Script, Upstream, Wait, answer, event_stream

HELLO = [Text((b"Hel", b"lo")), Finish("stop")]
SAY_HELLO = event_stream(text("Hel") + text("lo") + DONE)
FOREVER = Wait(30)


@asynccontextmanager
async def wired(*scripts: Script, close: bool = True) -> AsyncIterator[tuple[BotWire, Upstream]]:
    async with Upstream(scripts, close=close) as upstream, await open_session() as session, Client() as posting:
        yield BotWire(posting, upstream.url, Uploads(session, f"{upstream.url}/upload")), upstream


async def failure_of(*scripts: Script, **seconds: float) -> Failure:
    async with wired(*scripts) as (wire, _):
        with pytest.raises(Failure) as caught:
            await events_of(wire, timed(asking(), **seconds))
    return caught.value


async def until_failure(wire: BotWire) -> tuple[list[list[Event]], Failure | None]:
    batches: list[list[Event]] = []
    try:
        async for batch in wire.stream(asking()):
            batches += [batch]
    except Failure as failure:
        return batches, failure
    return batches, None


@pytest.mark.anyio
async def test_an_answer_is_asked_for_as_poe_wants_it() -> None:
    async with wired(SAY_HELLO) as (wire, upstream):
        assert await events_of(wire, asking(name="Claude-Sonnet 4.6/é?#")) == HELLO
    head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /bot/Claude-Sonnet%204.6%2F%C3%A9%3F%23 HTTP/1.1\r\n")
    assert f"Authorization: Bearer {SECRET}".encode() in head
    assert b"Accept: text/event-stream" in head
    assert b'"type":"query"' in body


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_is_a_path_is_no_bot(name: str) -> None:
    async with wired(SAY_HELLO) as (wire, upstream):
        with pytest.raises(Failure) as caught:
            await events_of(wire, asking(name=name))
    assert caught.value.kind is Kind.NO_SUCH_MODEL
    assert not upstream.requests


@pytest.mark.anyio
async def test_a_connection_is_used_again_after_a_proper_end() -> None:
    async with wired(event_stream(text("a") + DONE, Wait(0.02)), SAY_HELLO, close=False) as (wire, upstream):
        await events_of(wire, asking())
        await asyncio.sleep(0.1)
        assert await events_of(wire, asking()) == HELLO
    assert upstream.connections == 1


@pytest.mark.anyio
async def test_a_connection_whose_answer_does_not_end_after_done_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LINGER_SECONDS", 0.05)
    async with wired(event_stream(text("a") + DONE, FOREVER), close=False) as (wire, upstream):
        began = perf_counter()
        await events_of(wire, asking())
        assert perf_counter() - began < 10
        await asyncio.wait_for(upstream.gone.wait(), 10)


@pytest.mark.anyio
@pytest.mark.usefixtures("lingering")
@pytest.mark.parametrize("before", [(), (text("a"),)])
async def test_closing_the_stream_closes_the_upstreams_answer_at_once(before: Sequence[bytes]) -> None:
    async with wired(event_stream(text("first"), *before, FOREVER)) as (wire, upstream):
        async with aclosing(wire.stream(asking())) as stream:
            await anext(stream)
        await asyncio.wait_for(upstream.gone.wait(), 10)


@pytest.mark.anyio
@pytest.mark.usefixtures("lingering")
@pytest.mark.parametrize("script", [[FOREVER], event_stream(FOREVER), event_stream(text("a"), FOREVER)])
async def test_cancelling_whoever_waits_closes_the_upstreams_answer_at_once(script: Script) -> None:
    async with wired(script) as (wire, upstream):
        task = asyncio.ensure_future(events_of(wire, asking()))
        async with asyncio.timeout(10):
            while not upstream.requests:  # noqa: ASYNC110 - an upstream sets no event
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(upstream.gone.wait(), 10)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([FOREVER], arriving.NOT_BEGUN),
        (event_stream(FOREVER), arriving.NOT_BEGUN),
        (
            event_stream(b": ping\n\n", event("meta", {}), event("ping", {}), event("text", {"text": ""}), FOREVER),
            arriving.NOT_BEGUN,
        ),
        (event_stream(*[step for _ in range(30) for step in (b": ping\n\n", Wait(0.02))], FOREVER), arriving.NOT_BEGUN),
    ],
)
async def test_a_bot_that_shows_no_sign_of_work_is_silent(script: Script, message: str) -> None:
    began = perf_counter()
    failure = await failure_of(script, first_event=0.2)
    assert (failure.kind, failure.message) == (Kind.SILENT, message)
    assert 0.15 < perf_counter() - began < 10


@pytest.mark.anyio
async def test_signs_of_work_buy_the_time_of_an_answer_and_no_more() -> None:
    steps = [step for i in range(300) for step in (event("replace_response", {"text": f"{i} s"}), Wait(0.05))]
    began = perf_counter()
    failure = await failure_of(event_stream(*steps, DONE), first_event=0.1, answer=0.5)
    assert (failure.kind, failure.message) == (Kind.SILENT, arriving.NO_ANSWER)
    assert 0.4 < perf_counter() - began < 10


@pytest.mark.anyio
async def test_the_limit_between_events_holds_after_the_first_visible_one() -> None:
    steps = [step for _ in range(9) for step in (text("a"), Wait(0.2))]
    async with wired(event_stream(*steps, DONE)) as (wire, _):
        found = await events_of(wire, timed(asking(), first_event=1.5, answer=1.5, idle=1.5))
    assert found[-1] == Finish("stop")
    pings = [step for _ in range(30) for step in (b": ping\n\n", Wait(0.03))]
    failure = await failure_of(event_stream(text("a"), *pings, DONE), idle=0.2)
    assert (failure.kind, failure.message) == (Kind.SILENT, arriving.FELL_SILENT)


@pytest.mark.anyio
async def test_time_that_the_caller_takes_is_not_the_bots() -> None:
    call_ = timed(asking(), first_event=1.2, answer=1.2, idle=1.2)
    async with wired(event_stream(text("a"), Wait(1.6), text("b"), DONE)) as (wire, _):
        found: list[Event] = []
        async for batch in wire.stream(call_):
            found += batch
            await asyncio.sleep(1.5)
    assert found[-1] == Finish("stop")
    assert call_.waiting.seconds < 1.2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind", "status"),
    [
        (
            answer("429 Too Many", b'{"error": {"message": "slow"}}', headers="Retry-After: 7\r\n"),
            Kind.RATE_LIMITED,
            429,
        ),
        (answer("404 Not Found", b"{}"), Kind.NO_SUCH_MODEL, 404),
        (answer("402 Payment", b"", "text/event-stream"), Kind.DRY, 402),
        (answer("200 OK", b'{"error": {"type": "authentication_error"}}'), Kind.KEY_REVOKED, 200),
        (answer("200 OK", b"<html><body>hi</body></html>", "text/html"), Kind.BROKEN, 200),
        (answer("302 Found", b"", headers="Location: /x\r\n"), Kind.BROKEN, 302),
        (b"", Kind.UNREACHABLE, None),
        ([Reset()], Kind.UNREACHABLE, None),
        (event_stream(end=False), Kind.CUT, None),
        (event_stream(text("a"), end=False), Kind.CUT, None),
        (event_stream(text("a"), Wait(0.05), Reset()), Kind.CUT, None),
        (event_stream(text("a")), Kind.CUT, None),
        (event_stream(b": ping\n\n"), Kind.CUT, None),
        (event_stream(DONE), Kind.EMPTY, None),
        (event_stream(event("error", {"text": "Access denied"}) + DONE), Kind.KEY_REVOKED, None),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + text("a"), Kind.CUT, None),
        (event_stream(b"data: " + b"x" * 5_000_000), Kind.BROKEN, None),
    ],
)
async def test_what_is_no_answer_is_a_failure_of_its_kind(script: Script, kind: Kind, status: int | None) -> None:
    failure = await failure_of(script)
    assert (failure.kind, failure.status) == (kind, status)


@pytest.mark.anyio
async def test_a_limit_tells_when_it_ends() -> None:
    assert (await failure_of(answer("429 Too Many", b"", headers="retry-after: 7\r\n"))).retry_after == 7


@pytest.mark.anyio
@pytest.mark.parametrize("tail", [event("error", {"text": "Internal server error"}), b"", event("text", "broken")])
async def test_a_failure_in_the_read_that_brought_the_first_text_comes_before_that_text(tail: bytes) -> None:
    async with wired(event_stream(text("a") + tail)) as (wire, _):
        batches, failure = await until_failure(wire)
    assert failure is not None
    assert batches == ([] if tail else [[Text((b"a",))]])


@pytest.mark.anyio
async def test_text_that_comes_with_a_later_failure_is_not_lost() -> None:
    async with wired(event_stream(text("a"), Wait(0.1), text("b") + event("error", {"text": "x"}))) as (wire, _):
        batches, failure = await until_failure(wire)
    assert batches == [[Text((b"a",))], [Text((b"b",))]]
    assert failure is not None


@pytest.mark.anyio
async def test_an_answer_that_was_whole_before_the_connection_broke_counts() -> None:
    whole = event_stream(text("Hel") + text("lo") + DONE, end=False)
    for _ in range(20):
        async with wired([*whole, Reset()]) as (wire, _upstream):
            batches, failure = await until_failure(wire)
        # The reset may overtake the bytes in the kernel.
        assert batches == [HELLO] or (failure is not None and failure.kind in (Kind.CUT, Kind.UNREACHABLE))
    async with wired(whole) as (wire, _upstream):
        assert await events_of(wire, asking()) == HELLO


@pytest.mark.anyio
async def test_a_bot_that_took_back_its_text_is_held_back_from_then_on() -> None:
    script = event_stream(text("Wait"), Wait(0.02), event("replace_response", {"text": "Here"}), Wait(0.02), DONE)
    async with wired(script, close=False) as (wire, _):
        first, second = [await events_of(wire, asking()) for _ in range(2)]
        other = await events_of(wire, asking(name="Other"))
    assert first == [Text((b"Wait",)), Progress(), Text((b"\\n\\nHere",)), Finish("stop")]
    assert second == [Progress(), Progress(), Text((b"Here",)), Finish("stop")]
    assert other == first


@pytest.mark.anyio
@pytest.mark.parametrize(
    "model", [Model("m", "M", replaces=True), Model("m", "M", output_modalities=frozenset({"image"}))]
)
async def test_models_known_to_replace_are_held_back_from_the_start(model: Model) -> None:
    script = event_stream(text("Wait"), Wait(0.02), event("replace_response", {"text": "Here"}), Wait(0.02), DONE)
    async with wired(script) as (wire, _):
        found = await events_of(wire, asking(model=model))
    assert found == [Progress(), Progress(), Text((b"Here",)), Finish("stop")]


def test_lessons_about_bots_are_bounded_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot, "MAX_REWRITERS", 10)
    now = 0.0
    rewriters = Rewriters(lambda: now)
    for i in range(30):
        rewriters.add(f"bot-{i}")
    assert len(rewriters) == 10
    assert "bot-29" in rewriters
    assert "bot-0" not in rewriters
    now = bot.REWRITER_SECONDS + 1
    assert "bot-29" not in rewriters


@pytest.mark.anyio
async def test_a_providers_opaque_members_go_back_with_the_call() -> None:
    delta = call(
        0, id="a", function={"name": "f", "arguments": "{}"}, extra_content={"google": {"thought_signature": "s"}}
    )
    async with wired(event_stream(chunk(delta) + DONE), SAY_HELLO, close=False) as (wire, upstream):
        [made, _] = await events_of(wire, asking())
        assert isinstance(made, ToolCall)
        our_id = made.id
        turns = user("x"), Turn("assistant", (), (Call(our_id, "f", "{}"),)), Turn("tool", (), call_id=our_id)
        await events_of(wire, asking(*turns))
    assert rb"\"thought_signature\":\"s\"" in upstream.requests[1]


UPLOADED = answer("200 OK", b'{"attachment_url": "https://u/1", "mime_type": "image/png"}')


@pytest.mark.anyio
async def test_attachments_are_uploaded_before_the_question_and_once() -> None:
    picture = MediaPart("image", data=b"png", media_type="image/png")
    async with wired(UPLOADED, SAY_HELLO, close=False) as (wire, upstream):
        for _ in range(2):
            assert await events_of(wire, asking(user("What?", picture))) == HELLO
    assert [request.split(b" ")[1] for request in upstream.requests] == [b"/upload", b"/bot/Bot", b"/bot/Bot"]
    assert all(b'"url":"https://u/1"' in request for request in upstream.requests[1:])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Could not download the attachment.", Kind.UPLOAD_REFUSED),
        ("The file URL has expired", Kind.UPLOAD_REFUSED),
        ("Internal server error", Kind.BROKEN),
    ],
)
async def test_a_refused_attachment_is_uploaded_again(words: str, kind: Kind) -> None:
    picture = MediaPart("image", data=b"png")
    refusal = event_stream(event("error", {"text": words}))
    async with wired(UPLOADED, refusal, UPLOADED, SAY_HELLO, close=False) as (wire, upstream):
        with pytest.raises(Failure) as caught:
            await events_of(wire, asking(user("What?", picture)))
        assert caught.value.kind is kind
        if kind is Kind.UPLOAD_REFUSED:
            assert await events_of(wire, asking(user("What?", picture))) == HELLO
            assert upstream.requests[2].startswith(b"POST /upload")


@pytest.mark.anyio
async def test_words_about_attachments_mean_nothing_where_there_are_none() -> None:
    failure = await failure_of(event_stream(event("error", {"text": "Could not download the attachment."})))
    assert failure.kind is Kind.BROKEN


@pytest.mark.anyio
async def test_a_failed_upload_fails_the_call_in_its_own_words() -> None:
    async with wired(answer("401 Unauthorized", b"Bad key"), SAY_HELLO) as (wire, upstream):
        with pytest.raises(Failure) as caught:
            await events_of(wire, asking(user(MediaPart("file", data=b"x"))))
    assert caught.value.kind is Kind.KEY_REVOKED
    assert caught.value.message == "An attachment could not be uploaded: Bad key"
    assert len(upstream.requests) == 1


@pytest.mark.anyio
async def test_a_long_prompt_is_sent_whole() -> None:
    long = "ä" * 3_000_000
    async with wired(SAY_HELLO) as (wire, upstream):
        assert await events_of(wire, asking(user(long))) == HELLO
    assert long.encode() in upstream.requests[0]


@pytest.mark.anyio
async def test_many_answers_at_once_do_not_mix() -> None:
    async def one(wire: BotWire, name: str) -> str:
        found = await events_of(wire, asking(name=name))
        return read([piece for each in found if isinstance(each, Text) for piece in each.pieces])

    class Echo(Upstream):
        def script_for(self, request: bytes) -> Script:
            name = request.split(b" ")[1].removeprefix(b"/bot/").decode()
            return event_stream(*[step for _ in range(5) for step in (text(name), Wait(0.005))], DONE)

    async with Echo([b""], close=False) as upstream, await open_session() as session, Client() as posting:
        wire = BotWire(posting, upstream.url, Uploads(session, upstream.url))
        found = await asyncio.gather(*[one(wire, f"b{i}") for i in range(50)])
    assert found == [f"b{i}" * 5 for i in range(50)]


def test_the_key_is_in_no_repr() -> None:
    assert SECRET not in repr(asking())
    assert SECRET not in repr(replace(asking(), refused=frozenset()))
