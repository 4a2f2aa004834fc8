"""The same bytes, however they are cut, mean the same to our reader and to fastapi_poe's client, but for listed faults.

The faults are the client's; each is shown with what it makes of some bytes, and what is made of them here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from anyio import run
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wires.answers import DONE, Answer, call, chunk, event, ours, pieces, text
from tests.wires.oracle import Heard, heard

FILE = event("file", {"url": "https://x/1.png", "content_type": "image/png", "name": "1.png"})
ANSWERS = {
    "text": text("Hello, ") + text("wörld 你好 🦉") + DONE,
    "text in UTF-8": 'event: text\ndata: {"text": "wörld 你好 🦉 \u2028"}\n\n'.encode() * 2 + DONE,
    "line ends": text("a", "\n") + text("b", "\r") + text("c") + event("done", {}, "\r"),
    "comments": b": ping\r\n\r\n" + text("a") + b":\r\n\r\n: ping - 1\r\n" + text("b") + DONE,
    "many data lines": b'event: text\ndata: {"text":\ndata: "a"}\n\n' + DONE,
    "mark at the start": b"\xef\xbb\xbf" + b": x\n\n" + text("a") + DONE,
    "meta and replies": event("meta", {"linkify": True}) + text("a") + event("suggested_reply", {"text": "b"}) + DONE,
    "replaced": text("Wait") + event("replace_response", {"text": "Here"}) + text(" it is") + DONE,
    "files": text("a") + FILE + text("b") + DONE,
    "halves": event("text", '{"text": "a\\ud83d"}') + event("text", '{"text": "\\ude00b"}') + DONE,
    "tools": chunk(call(0, id="a", type="function", function={"name": "f", "arguments": "{}"})) + DONE,
    "escapes": event("text", '{"text": "\\u00e9\\n\\"\\\\ \\/"}') + text('"') + DONE,
    "error": text("a") + event("error", {"text": "Internal server error", "allow_retry": True}),
    "error for good": event("error", {"text": "x", "allow_retry": False}),
    "bad JSON": text("a") + event("text", "{") + DONE,
    "no object": text("a") + event("text", "[]") + DONE,
    "no text": text("a") + event("text", {"txt": "a"}) + DONE,
    "text that is none": text("a") + event("text", {"text": 1}) + DONE,
}


def agree(found: Answer, oracle: Heard) -> None:
    if found.failure == "empty":
        assert (oracle.text, oracle.files, oracle.failure) == ("", [], None)  # a fault of the list below
        return
    if found.failure is not None or oracle.failure is not None:
        assert found.failure is not None
        assert oracle.failure is not None
        return
    assert found.text == oracle.text
    assert found.files == oracle.files
    fragments = [f for c in oracle.chunks for choice in c["choices"] for f in choice["delta"].get("tool_calls") or []]
    told = {f["index"]: (f["id"], f["function"]["name"], f["function"]["arguments"]) for f in fragments}
    assert found.calls == told


@pytest.mark.anyio
@pytest.mark.parametrize("name", ANSWERS)
async def test_every_single_cut_means_the_same_to_both(name: str) -> None:
    body = ANSWERS[name]
    whole = ours([body], held=True)
    agree(whole, await heard([body]))
    for cut in range(len(body) + 1):
        assert ours(pieces(body, [cut]), held=True) == whole
        agree(whole, await heard(pieces(body, [cut])))
    assert ours([body[i : i + 1] for i in range(len(body))], held=True) == whole


@pytest.mark.parametrize("name", ANSWERS)
def test_every_single_cut_gives_the_same_stream(name: str) -> None:
    body = ANSWERS[name]
    whole = ours([body])
    assert all(ours(pieces(body, [cut])) == whole for cut in range(len(body) + 1))


JSON_STYLES = [
    lambda value: json.dumps(value),
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: json.dumps(value, separators=(",", ":")),
    lambda value: json.dumps(value, ensure_ascii=False, indent=None, separators=(" , ", " : ")),
]
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["![a][b", "!", "> ", "\n\n"])


@st.composite
def events(draw: st.DrawFn) -> bytes:
    style = draw(st.sampled_from(JSON_STYLES))
    words = draw(WORDS)
    name, data = draw(
        st.sampled_from(
            [
                *[("text", style({"text": words}))] * 6,
                ("text", style({"text": words, "more": [1, {"text": "no"}]})),
                ("text", json.dumps({"text": words + "\ud83d"})),
                ("text", json.dumps({"text": "\ude00" + words})),
                ("replace_response", style({"text": words})),
                ("suggested_reply", style({"text": words})),
                ("file", style({"url": "https://x/" + words, "content_type": "a/b", "name": words})),
                ("ping", "{}"),
                ("json", style({"choices": [], "usage": None})),
                ("error", style({"text": words})),
                ("text", "{"),
            ]
        )
    )
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    comment = draw(st.sampled_from(["", f": ping{end}", f":{end}{end}", f"id:{end}", f"retry: 5{end}"]))
    space = draw(st.sampled_from(["", " "]))
    return f"{comment}event:{space}{name}{end}data:{space}{data}{end}{end}".encode()


BODIES = st.lists(events(), max_size=8).map(lambda some: text("start") + b"".join(some) + DONE)


@given(body=BODIES, data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_answer_cut_anywhere_means_the_same_to_both(body: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    found = ours(pieces(body, cuts), held=True)
    assert found == ours([body], held=True)
    assert ours(pieces(body, cuts)) == ours([body])
    agree(found, run(heard, pieces(body, cuts)))


@given(body=BODIES)
@settings(max_examples=200, deadline=None)
def test_what_is_sent_early_ends_in_what_is_meant(body: bytes) -> None:
    early, meant = ours([body]), ours([body], held=True)
    if meant.failure == "empty":
        return  # what was sent, and then replaced by nothing, was an answer to whoever got it
    assert early.failure == meant.failure
    if meant.failure is None:
        assert early.files == meant.files
        assert early.text == meant.text or early.text.endswith(f"\n\n{meant.text}") or not meant.text


@dataclass(frozen=True)
class Fault:
    """A body that fastapi_poe's client gets wrong: what it makes of it, and what is made of it here."""

    why: str
    body: bytes
    theirs: Heard
    ours: Answer


def failed(kind: str, words: str = "") -> Answer:
    return Answer(text=words, failure=kind)


NOTHING = Heard(failure="JSONDecodeError")
FAULTS = [
    Fault(
        "an answer without its end counts as whole (poe.md 2.6)",
        text("a"),
        Heard("a", complaints=["Bot exited without sending 'done' event"]),
        failed("cut", "a"),
    ),
    Fault(
        "an empty answer counts as one (2.8)",
        DONE,
        Heard(complaints=["Bot returned no text in response"]),
        failed("empty"),
    ),
    Fault(
        "a ping without JSON ends the answer (2.7)",
        text("a") + event("ping", "") + text("b") + DONE,
        Heard("a", failure="BotErrorNoRetry: Invalid JSON in 'ping' event"),
        Answer("ab", finish="stop"),
    ),
    Fault(
        "an end without JSON ends the answer in an error (2.7)",
        text("a") + event("done", ""),
        Heard("a", failure="BotErrorNoRetry: Invalid JSON in 'done' event"),
        Answer("a", finish="stop"),
    ),
    Fault(
        "a late meta event that is no object ends the answer (2.7)",
        text("a") + event("meta", "[]") + DONE,
        Heard("a", failure="BotError: Expected JSON dict in 'meta' event"),
        Answer("a", finish="stop"),
    ),
    Fault(
        "an event that nobody knows is complained of (2.8)",
        event("news", "{}") + text("a") + DONE,
        Heard("a", complaints=["Unknown event type: news"]),
        Answer("a", finish="stop"),
    ),
    Fault(
        "bytes that are no UTF-8 become replacement characters",
        text("a") + b'event: text\ndata: {"text": "\xff"}\n\n' + DONE,
        Heard("a\ufffd"),
        failed("cut", "a"),
    ),
    Fault(
        "a last event without its blank line is lost",
        text("a") + b"event: done\ndata: {}",
        Heard("a", complaints=["Bot exited without sending 'done' event"]),
        Answer("a", finish="stop"),
    ),
    Fault(
        "several answers are mixed into one (its caller is to sort them by index)",
        text("a") + event("text", {"text": "b", "index": 1}) + DONE,
        Heard("ab"),
        Answer("a", finish="stop"),
    ),
    Fault(
        "a file without a name fails the answer",
        text("a") + event("file", {"url": "https://x/1"}) + DONE,
        Heard("a", failure="BotError: Error communicating with bot bot"),
        Answer("a", files=[("https://x/1", "", "")], finish="stop"),
    ),
    Fault(
        "a blank line after an id is taken for an event",
        b"id: 1\nevent: text\ndata: " + b'{"text": "a"}\n\n: ping\n\n' + DONE,
        Heard("a", failure="BotErrorNoRetry: Invalid JSON in 'message' event"),
        Answer("a", finish="stop"),
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.why)
async def test_where_the_client_errs_it_is_known_how(fault: Fault) -> None:
    assert ours([fault.body]) == fault.ours
    theirs = await heard([fault.body])
    if fault.theirs.failure is None:
        assert theirs == fault.theirs
    else:
        assert (theirs.text, theirs.failure) == (fault.theirs.text, fault.theirs.failure)


@pytest.mark.anyio
async def test_the_client_takes_a_refusal_for_a_cut_answer() -> None:
    assert await heard([b""], status=429) == Heard(complaints=["Bot exited without sending 'done' event"])
