"""Whatever a bot sends, its reader gives sound events or a failure, the same for every cut, and never anything else."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Kind
from service.events import Event, Reasoning, Text, read
from service.wires.bot_events import BotReader
from tests.wires.answers import DONE, fold, pieces

STRINGS = st.text(max_size=8) | st.sampled_from(
    ["\ud83d", "\ude00", "a\ud83d", "*Thinking...*\n\n> a", "![a][abcdefgh]"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | STRINGS
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(STRINGS, SCALARS, max_size=2)


def some_of(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these members, each as it should be or anything else."""
    return st.fixed_dictionaries({}, optional={name: value | VALUES for name, value in members.items()})


FUNCTION = some_of(name=STRINGS, arguments=STRINGS | st.just("{}"))
FRAGMENT = some_of(index=st.integers(0, 2), id=STRINGS, function=FUNCTION, extra_content=some_of(google=VALUES))
DELTA = some_of(
    role=STRINGS, content=STRINGS, tool_calls=st.lists(FRAGMENT, max_size=3), reasoning_content=STRINGS, x=VALUES
)
REASON = st.sampled_from([None, "stop", "length", "tool_calls", "odd"])
CHOICE = some_of(index=st.integers(0, 1), delta=DELTA, message=DELTA, finish_reason=REASON)
USAGE = some_of(prompt_tokens=st.integers(), completion_tokens=st.integers(), completion_tokens_details=VALUES)
CHUNK = some_of(choices=st.lists(CHOICE, max_size=2), usage=USAGE, error=VALUES, index=st.integers(0, 1))
FILE = some_of(url=STRINGS, content_type=STRINGS, name=STRINGS, inline_ref=STRINGS | st.just("abcdefgh"))
TEXT = some_of(text=STRINGS, index=st.integers(0, 1), error_type=STRINGS)
EVENTS = st.builds(
    lambda name, value: f"event: {name}\ndata: {json.dumps(value)}\n\n".encode(),
    st.sampled_from(["text", "replace_response", "error", "done", "meta", "news", ""]),
    TEXT,
) | st.builds(
    lambda named: f"event: {named[0]}\ndata: {json.dumps(named[1])}\n\n".encode(),
    st.tuples(st.just("json"), CHUNK) | st.tuples(st.just("file"), FILE) | st.tuples(st.just("text"), VALUES),
)
BODIES = st.lists(EVENTS | st.binary(max_size=30), max_size=6).map(b"".join)


def outcome(chunks: list[bytes], held: bool) -> tuple[list[Event], Kind | None]:
    reader = BotReader(held=held)
    events = [each for chunk in chunks for each in reader.feed(chunk)] + reader.close()
    assert reader.done != (reader.failure is not None)
    return events, reader.failure.kind if reader.failure is not None else None


def sound(event: Event) -> None:
    if isinstance(event, (Text, Reasoning)):
        read(event.pieces)
        assert all(orjson.loads(b'"%b"' % piece) is not None for piece in event.pieces)
    else:
        members: dict[str, Any] = asdict(event)
        orjson.dumps(members, default=str)


@given(body=BODIES, held=st.booleans())
@settings(max_examples=500, deadline=None)
def test_events_are_sound_or_there_is_a_failure(body: bytes, held: bool) -> None:
    events, _ = outcome([body + DONE], held)
    for event in events:
        sound(event)


@given(body=BODIES, held=st.booleans(), data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_cut_changes_what_comes_out(body: bytes, held: bool, data: st.DataObject) -> None:
    whole = outcome([body + DONE], held)
    cut = outcome(pieces(body + DONE, data.draw(st.lists(st.integers(0, len(body)), max_size=5))), held)
    first, second = fold(whole[0]), fold(cut[0])
    assert [name for _, name, _ in first.calls.values()] == [name for _, name, _ in second.calls.values()]
    first.calls, second.calls = {}, {}
    assert (first, whole[1]) == (second, cut[1])
