"""Server-sent events: WHATWG's rules, the two mercies, the bound, and no dependence on where the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Failure, Kind
from service.wires import sse
from service.wires.sse import SseEvent, SseReader

LINES = st.sampled_from(
    [
        *[
            b"data: one",
            b"data:two",
            b"data",
            b"data:",
            b"data:  two blanks",
            b"data: a:b",
            b"event: text",
            b"event:done",
        ],
        *[b"event", b"event: ", b": comment", b":", b"id: 7", b"retry: 10", b"unknown: x", b"nocolon", b"", b"", b""],
        *["data: \u2028 \x85 é 🦉".encode(), b"data: \x00", b" data: no field", b"\xef\xbb\xbfdata: late mark"],
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    body = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb"]))
    return body + b"".join(line + draw(ENDS) for line in draw(st.lists(LINES, max_size=14)))


def by_the_book(body: bytes) -> tuple[list[SseEvent], list[SseEvent]]:
    """WHATWG's algorithm, line by line, with the two mercies: the plain form that the reader must agree with."""
    body = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[SseEvent] = []
    name, data = b"", list[bytes]()
    *lines, last = body.split(b"\n")
    unended = [last] if last else []
    for line in [*lines, *unended]:
        if line == b"":
            if name or data:
                events.append((name or b"message", b"\n".join(data)))
            name, data = b"", []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line == b"data":
            data.append(b"")
        elif line.startswith(b"event:"):
            name = line[6:].removeprefix(b" ")
        elif line == b"event":
            name = b""
    return events, [(name or b"message", b"\n".join(data))] if name or data else []


def read(*chunks: bytes) -> tuple[list[SseEvent], list[SseEvent]]:
    reader = SseReader()
    return [event for chunk in chunks for event in reader.feed(chunk)], reader.close()


@given(body=bodies())
@settings(max_examples=1000, deadline=None)
def test_whole_bodies_are_read_by_the_book(body: bytes) -> None:
    assert read(body) == by_the_book(body)


@given(body=bodies(), data=st.data())
@settings(max_examples=1000, deadline=None)
def test_no_cutting_changes_the_events(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(*chunks) == by_the_book(body)


@given(body=bodies())
@settings(max_examples=300, deadline=None)
def test_single_bytes_give_the_same_events(body: bytes) -> None:
    assert read(*[body[i : i + 1] for i in range(len(body))]) == by_the_book(body)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("head", [b"event: text%bdata: ", b"data: "])
def test_uniform_reads_take_the_short_way_and_give_the_same(head: bytes, end: bytes) -> None:
    head = head.replace(b"%b", end)
    body = b"".join(head + b'{"text": "%d"}' % i + end * 2 for i in range(50))
    normal = SseReader().frames(body)
    assert sse._parse_uniform(normal) == by_the_book(body)[0]
    assert len(sse._parse_uniform(normal) or ()) == 50


def test_an_event_is_given_as_soon_as_its_blank_line_came_whatever_ends_lines() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        assert SseReader().feed(b"data: x" + end + end) == [(b"message", b"x")]


def test_an_event_without_data_keeps_its_name() -> None:
    assert read(b"event: done\n\n") == ([(b"done", b"")], [])


def test_the_unfinished_last_frame_comes_from_close_alone() -> None:
    assert read(b"data: a\n\nevent: done\ndata: {}") == ([(b"message", b"a")], [(b"done", b"{}")])


def test_an_event_that_never_ends_is_refused_at_the_bound() -> None:
    reader = SseReader()
    chunk = b"x" * 65536
    for _ in range(sse.MAX_EVENT_BYTES // len(chunk)):
        assert reader.feed(chunk) == []
    with pytest.raises(Failure) as caught:
        reader.feed(chunk)
    assert caught.value.kind is Kind.BROKEN


def test_an_event_just_within_the_bound_is_read_from_small_chunks() -> None:
    reader = SseReader()
    size = sse.MAX_EVENT_BYTES - 100
    body = b"data: " + b"x" * size + b"\n\n"
    events = [event for at in range(0, len(body), 1000) for event in reader.feed(body[at : at + 1000])]
    assert [len(data) for _, data in events] == [size]
