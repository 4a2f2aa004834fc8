"""Every `fail:` verb does what it says, on chat completions whole and streamed and on the bot wire."""

from __future__ import annotations

import json
import time
from typing import Any

import fastapi_poe
import httpx
import pytest

from service.sandbox.fault import SIXTY_WORDS, parse_fault
from service.sandbox.poe_errors import ERRORS
from tests.sandbox.talking import ask_bot, chunks_of, content_of, events_of, message_of, post_chat, post_query, text_of

MODEL = "Sandbox-Failing"
TEXT = "one two three four five six"


def prompt(verb: str, text: str = TEXT) -> str:
    return f"fail: {verb}\n{text}"


def whole(url: str, verb: str) -> httpx.Response:
    return post_chat(url, MODEL, prompt(verb))


def stream(url: str, verb: str) -> httpx.Response:
    return post_chat(url, MODEL, prompt(verb), stream=True)


def bot(url: str, verb: str) -> httpx.Response:
    return post_query(url, MODEL, prompt(verb))


def said(events: list[tuple[str, Any]]) -> str:
    return "".join(data["text"] for name, data in events if name == "text" and isinstance(data, dict))


@pytest.mark.parametrize("ask", [whole, stream, bot])
def test_status_is_an_http_error_in_poes_shape(url: str, ask: Any) -> None:
    response = ask(url, "status 429 retry-after 2")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"
    error = response.json()["error"]
    assert (error["code"], error["type"], error["metadata"]) == (429, "rate_limit_error", {})
    named = ask(url, "status 400 type invalid_request_error code context_length_exceeded").json()["error"]
    assert (named["type"], named["code"]) == ("invalid_request_error", "context_length_exceeded")


@pytest.mark.parametrize("ask", [whole, stream, bot])
def test_html_is_a_web_page(url: str, ask: Any) -> None:
    response = ask(url, "html 502")
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("ask", [whole, stream, bot])
def test_late_holds_even_the_head_back(url: str, ask: Any) -> None:
    started = time.monotonic()
    assert ask(url, "late 0.3").status_code == 200
    assert time.monotonic() - started >= 0.3


def head_and_end(url: str, path: str, body: dict[str, Any]) -> tuple[float, float]:
    """Seconds to the head and to the end of an answer."""
    started = time.monotonic()
    with httpx.stream(
        "POST", f"{url}{path}", verify=False, trust_env=False, json=body, headers={"authorization": "Bearer k"}
    ) as response:
        head = time.monotonic() - started
        response.read()
    return head, time.monotonic() - started


def test_stall_is_silence_after_the_head_and_then_all_goes_well(url: str) -> None:
    turns = [{"role": "user", "content": prompt("stall 0.5 after 2")}]
    chat = {"model": MODEL, "messages": turns, "stream": True}
    ids = {"user_id": "", "conversation_id": "", "message_id": ""}
    query = {"version": "1.2", "type": "query", "query": turns, **ids}
    for path, body in (("/v1/chat/completions", chat), (f"/bot/{MODEL}", query)):
        head, end = head_and_end(url, path, body)
        assert head < 0.4
        assert end >= 0.5
    assert content_of(stream(url, "stall 0.01").text) == TEXT
    assert message_of(whole(url, "stall 0.01 after 2"))["content"] == TEXT
    assert said(events_of(bot(url, "stall 0.01 after 2").text)) == TEXT


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_error_is_the_named_one_in_band_on_the_bot_wire_and_a_status_on_chat(url: str, name: str) -> None:
    (event, told), done = events_of(bot(url, f"error {name}").text)
    assert (event, done[0]) == ("error", "done")
    assert (told["text"], told.get("error_type")) == (ERRORS[name].text, ERRORS[name].error_type)
    assert told["allow_retry"] == ERRORS[name].allow_retry
    for ask in (whole, stream):
        response = ask(url, f"error {name}")
        assert response.status_code == ERRORS[name].status
        assert response.json()["error"]["message"] == ERRORS[name].text


def test_a_late_error_comes_after_the_words_before_it(url: str) -> None:
    events = events_of(bot(url, "error internal after 3").text)
    assert [name for name, _ in events] == ["text", "text", "text", "error", "done"]
    text = stream(url, "error internal after 3").text
    assert content_of(text) == "one two three "
    assert text.split("event: error\n")[1].startswith('data: {"type": "error", "error": {"type": "provider_error"')
    assert "[DONE]" not in text
    assert whole(url, "error internal after 3").status_code == 500


def test_malformed_spoils_one_event_and_leaves_the_rest(url: str) -> None:
    events = events_of(bot(url, "malformed after 2").text)
    assert [isinstance(data, str) for _, data in events] == [False, False, True, False, False, False, False, False]
    assert said(events) == TEXT
    chunks = chunks_of(stream(url, "malformed after 2").text)
    assert [chunk for chunk in chunks if isinstance(chunk, str)][1:] == ["[DONE]"]
    assert content_of(stream(url, "malformed after 2").text) == TEXT
    response = whole(url, "malformed after 2")
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)


def test_cut_ends_cleanly_without_a_proper_end(url: str) -> None:
    events = events_of(bot(url, "cut after 3").text)
    assert [name for name, _ in events] == ["text"] * 3
    with pytest.raises((RuntimeError, fastapi_poe.BotError)):
        ask_bot(url, MODEL, prompt("cut after 3"))
    text = stream(url, "cut after 3").text
    assert content_of(text) == "one two three "
    assert "[DONE]" not in text
    assert '"stop"' not in text
    with pytest.raises(httpx.RemoteProtocolError):
        whole(url, "cut after 3")


def test_reset_breaks_the_connection(url: str) -> None:
    for ask in (whole, stream, bot):
        with pytest.raises(httpx.RemoteProtocolError):
            ask(url, "reset after 3")


def test_no_end_says_everything_but_the_end(url: str) -> None:
    events = events_of(bot(url, "no-end").text)
    assert said(events) == TEXT
    assert "done" not in [name for name, _ in events]
    text = stream(url, "no-end").text
    assert content_of(text) == TEXT
    assert chunks_of(text)[-1]["choices"][0]["finish_reason"] == "stop"
    assert "[DONE]" not in text
    assert whole(url, "no-end").json()["choices"][0]["finish_reason"] is None


@pytest.mark.parametrize(("verb", "finish"), [("empty", "stop"), ("length", "length"), ("filter", "content_filter")])
def test_an_empty_answer_has_a_proper_end(url: str, verb: str, finish: str) -> None:
    assert events_of(bot(url, verb).text) == [("done", {})]
    (choice,) = whole(url, verb).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", finish)
    *_, last, done = chunks_of(stream(url, verb).text)
    assert (last["choices"][0]["finish_reason"], done) == (finish, "[DONE]")
    assert content_of(stream(url, verb).text) == ""


def test_once_and_twice_end_by_themselves(url: str) -> None:
    assert [whole(url, "once status 500").status_code for _ in range(3)] == [500, 200, 200]
    assert [bot(url, "twice status 503").status_code for _ in range(3)] == [503, 503, 200]
    assert message_of(whole(url, "once status 500"))["content"] == TEXT


def test_a_prompt_of_one_line_says_sixty_words(url: str) -> None:
    assert len(SIXTY_WORDS.split()) == 60
    assert text_of(ask_bot(url, MODEL, "fail: stall 0")) == SIXTY_WORDS


@pytest.mark.parametrize(
    "words", ["", "nonsense", "status", "status abc", "status 200", "cut after", "stall nan", "cut at 3"]
)
def test_words_that_are_no_fault_are_told(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_fault(words)
    assert message_of(whole(url, words))["content"].startswith("I do not know how to do that")


def test_other_models_repeat_the_words_and_do_not_fail(url: str) -> None:
    assert message_of(post_chat(url, "sandbox-echo", "fail: status 500"))["content"] == "fail: status 500"
