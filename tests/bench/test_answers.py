"""The bench finds every way in which an answer can be wrong."""

from __future__ import annotations

import pytest

from bench import cases, replies
from bench.answers import StreamCheck, Wrong, check_whole, stamps
from bench.http11 import Reader


def payload(reply: bytes) -> bytes:
    """The body of a ready answer."""
    reader = Reader()
    reader.feed(reply)
    assert reader.complete
    return reader.body()


WHOLE = payload(replies.chat_whole(cases.SHORT_MODEL, "".join(cases.SHORT_PIECES)))
STREAM = payload(replies.chat_stream(cases.HUNDRED_MODEL, cases.HUNDRED_PIECES, usage=True))
EVENTS = STREAM.split(b"\n\n")


def check_stream(stream: bytes) -> None:
    StreamCheck(cases.STREAM, cases.HUNDRED_MODEL).check(stream)


def test_the_right_answers_pass() -> None:
    check_whole(cases.WHOLE, cases.SHORT_MODEL, WHOLE)
    check_stream(STREAM)
    check_stream(STREAM.replace(b"\n", b"\r\n"))
    check_stream(b": keep-alive\n\n" + STREAM)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"The gate", b"The gaze"),
        (b'"stop"', b'"length"'),
        (b'"assistant"', b'"user"'),
        (b'"chat.completion"', b'"chat.completion.chunk"'),
        (cases.SHORT_MODEL.encode(), b"another-model"),
        (b'"choices":[{', b'"choices":[{"index":1},{'),
        (b"}", b""),
    ],
)
def test_a_spoilt_whole_answer_is_wrong(old: bytes, new: bytes) -> None:
    assert old in WHOLE
    with pytest.raises(Wrong):
        check_whole(cases.WHOLE, cases.SHORT_MODEL, WHOLE.replace(old, new, 1))


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(STREAM.replace(b"The gate", b"The gaze"), id="a letter changed"),
        pytest.param(b"\n\n".join(EVENTS[:50] + EVENTS[51:]), id="an event lost"),
        pytest.param(b"\n\n".join([*EVENTS[:50], EVENTS[49], *EVENTS[50:]]), id="an event twice"),
        pytest.param(b"\n\n".join([EVENTS[0], EVENTS[2], EVENTS[1], *EVENTS[3:]]), id="two events in wrong order"),
        pytest.param(STREAM.replace(b"data: [DONE]\n\n", b""), id="no end"),
        pytest.param(STREAM + b"data: [DONE]\n\n", id="two ends"),
        pytest.param(STREAM.replace(b'"stop"', b'"length"'), id="another finish"),
        pytest.param(STREAM.replace(b'"stop"', b"null"), id="no finish"),
        pytest.param(STREAM[: len(STREAM) // 2], id="cut in an event"),
        pytest.param(b"\n\n".join([*EVENTS[:50], b""]), id="cut between events"),
        pytest.param(b"\n\n".join([EVENTS[0].replace(b"fb8c", b"0000"), *EVENTS[1:]]), id="two ids"),
        pytest.param(STREAM.replace(cases.HUNDRED_MODEL.encode(), b"another-model"), id="another model"),
        pytest.param(b"event: error\ndata: {}\n\n" + STREAM, id="an event that is no chunk"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_spoilt_stream_is_wrong(stream: bytes) -> None:
    with pytest.raises(Wrong):
        check_stream(stream)


def test_a_stream_that_differs_from_a_known_one_in_more_than_its_id_is_checked() -> None:
    check = StreamCheck(cases.STREAM, cases.HUNDRED_MODEL)
    check.check(STREAM)
    check.check(STREAM.replace(b"chatcmpl-fb8c85d7eb255afe3d1dac01", b"chatcmpl-1"))
    with pytest.raises(Wrong):
        check.check(STREAM.replace(b"The gate", b"The gaze"))


def test_paced_events_count_upwards() -> None:
    assert stamps(["000000 0000000000000007;", "000001 0000000000000009;"]) == [7, 9]
    with pytest.raises(Wrong):
        stamps(["000000 0000000000000007;", "000002 0000000000000009;"])


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_a_message_reads_the_same_however_it_is_cut(cut: int) -> None:
    reply = replies.chat_stream(cases.HUNDRED_MODEL, cases.HUNDRED_PIECES, usage=False)
    reader = Reader()
    brought = b"".join([reader.feed(reply[at : at + cut]) for at in range(0, len(reply), cut)])
    assert reader.complete
    assert brought == reader.body() == payload(reply)
