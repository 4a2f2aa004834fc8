"""The bot reader, event by event: what each one of Poe's becomes, well formed or not."""

from __future__ import annotations

from typing import Any

import pytest

from service.events import Finish, Progress, Text, read
from service.wires import bot_text
from service.wires.bot_events import BotReader
from tests.wires.answers import DONE, Answer, call, chunk, event, ours, text

URL = "https://pfst.cf2.poecdn.net/base/image/0a1b?w=1&h=1"
CAT = {"url": URL, "content_type": "image/png", "name": "cat.png"}


def answer(**members: Any) -> Answer:
    return Answer(**{"finish": "stop", **members})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (text("Hello, ") + text("world"), answer(text="Hello, world")),
        (
            text('a "quoted" \\ line\n\t\u0001 é 你 🦉 \u2028'),
            answer(text='a "quoted" \\ line\n\t\u0001 é 你 🦉 \u2028'),
        ),
        (text("one", "\n") + text("two", "\r"), answer(text="onetwo")),
        (text("") + text("x") + text(""), answer(text="x")),
        (b'data:{"text":"x"}\nevent:text\n\n', answer(text="x")),
        (b'event: text\ndata: {"text":\ndata: "x"}\n\n', answer(text="x")),
        (b'event: text\ndata:   {  "text" : "a"  }\n\n' * 3, answer(text="aaa")),
        ('event: text\ndata: {"text": "é你🦉"}\n\n'.encode(), answer(text="é你🦉")),
        (b'event: text\ndata: {"text": "\\/\\b\\f\\u00e9"}\n\n', answer(text="/\b\fé")),
        (b": ping\n\n" + text("x") + b": ping - 2026\r\n\r\n", answer(text="x")),
        (event("ping", "{}") + text("x") + event("ping", ""), answer(text="x")),
        (event("meta", {"content_type": "text/markdown", "suggested_replies": True}) + text("x"), answer(text="x")),
        (text("x") + event("meta", "no json"), answer(text="x")),
        (text("x") + event("suggested_reply", {"text": "More?"}), answer(text="x")),
        (event("data", {"metadata": "m"}) + event("news", "?") + text("x"), answer(text="x")),
        (text("x") + event("text", {"text": "y", "index": 1}), answer(text="x")),
        (text("x") + event("text", {"text": "y", "index": 0}), answer(text="xy")),
        (text("x") + event("text", {"text": "y", "index": None}), answer(text="xy")),
        (text("x") + event("file", CAT), answer(text="x", files=[(URL, "image/png", "cat.png")])),
        (event("file", {**CAT, "inline_ref": None}), answer(files=[(URL, "image/png", "cat.png")])),
        (event("file", {"url": URL}), answer(files=[(URL, "", "")])),
    ],
)
def test_each_event_becomes_what_it_means(body: bytes, expected: Answer) -> None:
    assert ours([body + DONE]) == expected


@pytest.mark.parametrize("done", ["{}", "", "null", "nonsense", '{"index": 3}'])
def test_done_ends_the_answer_whatever_it_holds(done: str) -> None:
    assert ours([text("x") + event("done", done)]).finish == "stop"
    assert ours([text("x") + b"event: done\n\n"]).finish == "stop"


def test_nothing_after_done_is_read() -> None:
    assert ours([text("x") + DONE + text("y") + event("error", {})]) == answer(text="x")
    assert ours([text("x") + DONE, text("y")]) == answer(text="x")


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert ours([text("x") + b"event: done\ndata: {}"]) == answer(text="x")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (text("x"), "cut"),
        (text("x") + b"event: text\ndata: {}", "cut"),
        (b"", "cut"),
        (text("x") + b'event: text\ndata: {"text": "un', "cut"),
        (event("text", "no json") + DONE, "cut"),
        (event("text", "") + DONE, "cut"),
        (event("text", "[]") + DONE, "cut"),
        (event("text", {"txt": "x"}) + DONE, "cut"),
        (event("text", {"text": 1}) + DONE, "cut"),
        (event("text", {"text": None}) + DONE, "cut"),
        (b'event: text\ndata: {"text": "\xff"}\n\n' + DONE, "cut"),
        (b'event: text\ndata: {"text": "\x01"}\n\n' + DONE, "cut"),
        (b'event: text\ndata: {"text": "\\x"}\n\n' + DONE, "cut"),
        (b'event: text\ndata: {"text": "a\ndata: b"}\n\n' + DONE, "cut"),
        (event("replace_response", "{}") + DONE, "cut"),
        (event("file", {"name": "x"}) + DONE, "cut"),
        (event("file", {"url": ""}) + DONE, "cut"),
        (event("json", "[1]") + DONE, "cut"),
        (event("error", "?") + DONE, "cut"),
        (DONE, "empty"),
        (text("") + DONE, "empty"),
        (event("suggested_reply", {"text": "x"}) + DONE, "empty"),
        (chunk({"role": "assistant", "content": ""}, "stop") + DONE, "empty"),
        (event("error", {"text": "Internal server error"}), "broken"),
        (text("x") + event("error", {"error_type": "insufficient_fund", "text": ""}), "dry"),
        (event("error", {"error_type": "user_message_too_long"}), "too_long"),
        (event("json", {"error": {"message": "rate limit"}}), "rate_limited"),
        (text("x") + event("text", {"text": "y"})[:-4], "cut"),
    ],
)
def test_what_is_no_whole_answer_fails_by_name(body: bytes, kind: str) -> None:
    assert ours([body]).failure == kind


def test_the_text_before_a_failure_is_given_with_it() -> None:
    assert ours([text("x") + event("error", {"text": "Access denied"})]) == Answer(text="x", failure="key_revoked")


def test_an_error_shows_neither_the_key_nor_markup() -> None:
    reader = BotReader(secret="very-secret-key")
    reader.feed(event("error", {"text": "<b>bad</b> very-secret-key"}))
    assert reader.failure is not None
    assert reader.failure.message == "bad [key]"


def test_an_answer_that_is_too_large_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot_text, "MAX_ANSWER_BYTES", 1000)
    assert ours([text("x" * 100) for _ in range(20)]).failure == "broken"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (['"\\ud83d"', '"\\ude00"'], "😀"),
        (['"a\\ud83d"', '"\\ude00b"', '"c"'], "a😀bc"),
        (['"\\ud83d"', '""', '"\\ude00"'], "😀"),
        (['"\\ud83d"', '"x"'], "\ufffdx"),
        (['"\\ude00"', '"x"'], "\ufffdx"),
        (['"\\ud83d"', '"\\ud83d"', '"\\ude00"'], "\ufffd😀"),
        (['"x\\ud83d"'], "x\ufffd"),
    ],
)
def test_halves_of_a_surrogate_pair_are_joined_over_events(texts: list[str], expected: str) -> None:
    events = [*[event("text", f'{{"text": {each}}}') for each in texts], DONE]
    assert ours([b"".join(events)]) == answer(text=expected)
    assert ours(events) == answer(text=expected)


def test_half_of_a_pair_goes_with_the_text_that_is_replaced() -> None:
    body = event("text", '{"text": "a\\ud83d"}') + event("replace_response", {"text": "b"}) + DONE
    assert ours([body], held=True) == answer(text="b")


def test_an_answer_that_begins_with_a_replacement_is_held_until_it_is_final() -> None:
    body = [event("replace_response", {"text": f"Drawing ({i} s)"}) for i in range(3)]
    reader = BotReader()
    assert [reader.feed(each) for each in body] == [[Progress()]] * 3
    assert reader.feed(text(" done") + DONE) == [Text((b"Drawing (2 s) done",)), Finish("stop")]
    assert not reader.rewrote


def test_a_replacement_that_extends_what_was_sent_sends_the_rest() -> None:
    reader = BotReader()
    assert reader.feed(text("Hel") + text("lo")) == [Text((b"Hel", b"lo"))]
    assert reader.feed(event("replace_response", {"text": "Hello, world"})) == [Text((b", world",))]
    assert reader.feed(text("!") + DONE)[-1] == Finish("stop")
    assert not reader.rewrote


def test_a_replacement_of_what_was_sent_follows_after_a_blank_line_once_it_is_final() -> None:
    reader = BotReader()
    reader.feed(text("Searching"))
    assert reader.feed(event("replace_response", {"text": "Reading"})) == [Progress()]
    assert reader.feed(text(" on")) == [Progress()]
    assert reader.feed(event("replace_response", {"text": "Found"})) == [Progress()]
    assert reader.feed(text(" it.") + DONE) == [Text((b"\\n\\nFound it.",)), Finish("stop")]
    assert reader.rewrote


def test_a_final_text_that_extends_what_was_sent_after_all_sends_only_the_rest() -> None:
    body = text("One") + event("replace_response", {"text": "Two"}) + event("replace_response", {"text": "One, two"})
    assert ours([body + DONE]) == answer(text="One, two")


@pytest.mark.parametrize("held", ["![a][zzzzzzzz] and", "*Thinking...*", "!["])
def test_text_that_was_still_held_back_goes_when_it_is_replaced(held: str) -> None:
    assert ours([text(held), event("replace_response", {"text": "b"}) + DONE]) == answer(text="b")


def test_a_replacement_after_thoughts_alone_begins_the_text() -> None:
    thoughts = text("*Thinking...*\n\n> a")
    assert ours([thoughts, event("replace_response", {"text": "b"}) + DONE]) == answer(text="b", thoughts="a")


def test_a_replacement_by_nothing_adds_nothing() -> None:
    assert ours([text("One") + event("replace_response", {"text": ""}) + DONE]) == answer(text="One")


def test_a_bot_known_to_replace_is_held_from_the_start() -> None:
    reader = BotReader(held=True)
    assert reader.feed(text("Draft")) == [Progress()]
    assert reader.feed(event("replace_response", {"text": "Final"}) + DONE) == [Text((b"Final",)), Finish("stop")]
    assert ours([text("a") + event("file", CAT) + text("b") + DONE], held=True) == answer(
        text="ab", files=[(URL, "image/png", "cat.png")]
    )


def test_a_media_bots_links_become_files_each_once() -> None:
    image = ("https://x/cat.png", "image/*", "cat")
    assert ours([text("![cat](https://x/cat.png)\n\nhttps://x/cat.png") + DONE], held=True, media=True).files == [image]
    body = text(f"![cat]({URL})") + event("file", CAT) + DONE
    assert ours([body], held=True, media=True) == answer(files=[(URL, "image/png", "cat.png")])


def test_a_media_bots_words_stay_words_and_its_file_is_not_repeated() -> None:
    body = text(f"Here it is: ![cat]({URL})") + event("file", CAT) + DONE
    assert ours([body], held=True, media=True) == answer(text=f"Here it is: ![cat]({URL})")
    assert ours([body], held=True, media=True, files_repeated=True).files == [(URL, "image/png", "cat.png")]


def test_tool_calls_are_put_together_and_ids_are_the_bots_inside_ours() -> None:
    body = (
        chunk(call(0, id="a:0", type="function", function={"name": "f", "arguments": ""}))
        + chunk(call(0, function={"arguments": '{"x"'}))
        + chunk(call(1, id="b", type="function", function={"name": "g", "arguments": "{}"}))
        + chunk(call(0, function={"arguments": ": 1}"}))
        + chunk({}, "tool_calls")
        + chunk(usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})
    )
    calls = {0: ("a:0", "f", '{"x": 1}'), 1: ("b", "g", "{}")}
    assert ours([body + DONE]) == answer(finish="tool_calls", calls=calls, usage=(5, 7))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            chunk({"content": "I call", **call(0, id="a", function={"name": "f", "arguments": "{}"})}, "tool_calls"),
            answer(text="I call", finish="tool_calls", calls={0: ("a", "f", "{}")}),
        ),
        (
            chunk(call(0, id="a", function={"name": "f"})),
            answer(finish="tool_calls", calls={0: ("a", "f", "")}),
        ),
        (
            chunk({"content": None, "tool_calls": None, "role": None}) + text("plain"),
            answer(text="plain"),
        ),
        (chunk({"content": "plain"}) + chunk({}, "length"), answer(text="plain", finish="length")),
        (chunk({"content": ""}, "length"), answer(finish="length")),
        (chunk({}, "content_filter"), answer(finish="content_filter")),
        (chunk({"content": "\ud83d"}) + chunk({"content": "\ude00"}), answer(text="😀")),
        (chunk({"reasoning_content": "hm"}) + text("x"), answer(text="x", thoughts="hm")),
        (event("json", {"choices": [{"delta": {"content": "x"}}]}), answer(text="x")),
        (event("json", {"choices": [{"index": 1, "delta": {"content": "x"}}]}) + text("y"), answer(text="y")),
        (event("json", {}) + event("json", {"choices": None}) + text("x"), answer(text="x")),
        (
            chunk(call(0, id="", function={"name": "f", "arguments": "{}"})),
            answer(finish="tool_calls", calls={0: ("", "f", "{}")}),
        ),
    ],
)
def test_chunks_are_read_whatever_stands_beside_what(body: bytes, expected: Answer) -> None:
    found = ours([body + DONE])
    for i, (our_id, name, arguments) in found.calls.items():
        found.calls[i] = ("" if our_id.startswith("call_") else our_id, name, arguments)
    assert found == expected


def test_a_tool_call_cut_in_its_arguments_is_no_answer() -> None:
    assert ours([chunk(call(0, id="a", function={"name": "f", "arguments": '{"x'})) + DONE]).failure == "cut"


def test_pieces_pass_on_as_they_were_written() -> None:
    reader = BotReader()
    reader.feed(text("warm up"))
    assert reader.feed(b'event: text\r\ndata: {"text": "\\u00e9\\/"}\r\n\r\n') == [Text((b"\\u00e9\\/",))]


@pytest.mark.parametrize("spelling", ['{"text": "%s"}', '{"text":"%s"}', '{ "text" : "%s" }'])
def test_a_bots_own_spelling_is_learned(spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = BotReader()
    body = event("text", spelling % "x")
    reader.feed(body)
    monkeypatch.setattr("service.wires.bot_events.load", None)
    assert reader.feed(body * 3) == [Text((b"x", b"x", b"x"))]


def test_events_that_are_invalid_alone_are_not_valid_together() -> None:
    for first, second in ((r"a\\"[:-1], ',"b'), ('a",["b', 'c"],"d'), ('a","b', "c")):
        body = "".join(f'event: text\ndata: {{"text": "{each}"}}\n\n' for each in (first, second))
        assert ours([body.encode() + DONE]).failure == "cut"


def test_a_read_gives_one_event_for_all_its_text() -> None:
    events = BotReader().feed(text("a") * 100)
    assert [type(each) for each in events] == [Text]
    assert isinstance(events[0], Text)
    assert len(events[0].pieces) == 100
    assert read(events[0].pieces) == "a" * 100
