"""fastapi_poe's own client can talk to every bot of the sandbox, and finds there what Poe's protocol says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fastapi_poe
import httpx
import pytest

from service.sandbox.accounts import SandboxAccount
from service.sandbox.catalogue import MODELS
from tests.running import sandboxed
from tests.sandbox.talking import KEY, WEATHER, ask_bot, events_of, get, post, post_query, text_of, user

GENERAL = [model.name for model in MODELS if model.takes_tools and "tools" in model.features]


def deltas_of(messages: list[fastapi_poe.PartialResponse]) -> Iterator[dict[str, Any]]:
    """Everything inside the chunks of json events."""
    for message in messages:
        chunk: Any = message.data
        yield from (chunk or {}).get("choices", [])


def calls_of(messages: list[fastapi_poe.PartialResponse]) -> dict[int, dict[str, Any]]:
    """The tool calls that fragments join to, by index."""
    calls: dict[int, dict[str, Any]] = {}
    for choice in deltas_of(messages):
        for fragment in choice["delta"].get("tool_calls", []):
            call = calls.setdefault(
                fragment["index"], {**fragment, "function": {**fragment["function"], "arguments": ""}}
            )
            call["function"]["arguments"] += fragment["function"]["arguments"]
    return calls


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_every_bot_answers_the_librarys_client(url: str, name: str) -> None:
    messages = ask_bot(url, name, "Say 'hello' to me")
    assert text_of(messages) or any(message.attachment for message in messages)


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_every_stream_ends_with_done_and_comes_with_crlf(url: str, name: str) -> None:
    response = post_query(url, name, "Say 'hello' to me")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("event: done\r\ndata: {}\r\n\r\n")
    assert "\n" not in response.text.replace("\r\n", "")


def test_text_comes_word_by_word(url: str) -> None:
    assert events_of(post_query(url, "Sandbox-Echo", "one two three").text) == [
        ("text", {"text": "one "}),
        ("text", {"text": "two "}),
        ("text", {"text": "three"}),
        ("done", {}),
    ]


@pytest.mark.parametrize("name", GENERAL[:1] + [name for name in GENERAL if "Kimi" in name])
def test_tool_calls_come_in_json_events_with_a_reason_and_usage(url: str, name: str) -> None:
    messages = ask_bot(url, name, "Weather in 'San Francisco'?", tools=[WEATHER])
    (call,) = calls_of(messages).values()
    assert call["function"]["name"] == "getWeather"
    assert json.loads(call["function"]["arguments"]) == {"location": "San Francisco"}
    assert [choice["finish_reason"] for choice in deltas_of(messages) if choice["finish_reason"]] == ["tool_calls"]
    last: Any = messages[-1].data
    assert last["choices"] == []
    assert set(last["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_a_plain_answer_to_a_tools_request_is_text_or_content_deltas(url: str) -> None:
    results = [{"role": "tool", "name": "getWeather", "tool_call_id": "c", "content": "12 degrees"}]
    body = {"tools": [WEATHER], "tool_results": results}
    plain = events_of(post_query(url, "Sandbox-Tools", "Weather?", **body).text)
    assert {name for name, _ in plain} == {"text", "done"}
    deltas = events_of(post_query(url, "Sandbox-Kimi-K2.5", "Weather?", **body).text)
    assert {name for name, _ in deltas} == {"json", "done"}
    said = [data["choices"][0]["delta"].get("content", "") for _, data in deltas if data.get("choices")]
    assert "".join(said) == "getWeather says: 12 degrees"


def test_a_schemas_definitions_survive_the_librarys_types(url: str) -> None:
    parameters = {
        "$defs": {"Place": {"enum": ["Oslo", "Bergen"]}},
        "type": "object",
        "properties": {"place": {"$ref": "#/$defs/Place"}},
        "required": ["place"],
    }
    tool = {"type": "function", "function": {"name": "visit", "description": "", "parameters": parameters}}
    events = events_of(post_query(url, "Sandbox-Tools", "I want to see Bergen", tools=[tool]).text)
    assert "Bergen" in json.dumps(events)


def test_several_rounds_of_tools_stand_in_the_query(url: str) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "getWeather", "arguments": "{}"}}]
    results = [{"role": "tool", "name": "getWeather", "tool_call_id": "c1", "content": "12 degrees"}]
    turns = [
        *user("Weather?"),
        {"role": "bot", "message_type": "function_call", "content": json.dumps(calls)},
        {"role": "tool", "content": json.dumps(results)},
    ]
    assert text_of(ask_bot(url, "Sandbox-Tools", turns, tools=[WEATHER])) == "getWeather says: 12 degrees"


def test_bots_without_tools_ignore_them(url: str) -> None:
    assert text_of(ask_bot(url, "Sandbox-Echo", "Weather?", tools=[WEATHER])) == "Weather?"


def test_thoughts_are_quoted_before_the_answer(url: str) -> None:
    opening, answer = text_of(ask_bot(url, "Sandbox-Reasoner", "hello")).rsplit("\n\n", 1)
    assert answer == "hello"
    marker, _, quoted = opening.partition("\n\n")
    assert marker == "*Thinking...*"
    assert all(line.startswith("> ") for line in quoted.split("\n"))


def test_parameters_ride_on_the_last_user_message(url: str) -> None:
    turns = [{"role": "user", "content": "hello", "parameters": {"thinking_budget": 99}}]
    assert "thinking_budget is 99" in text_of(ask_bot(url, "Sandbox-Haiku-4.5", turns))
    assert "Thinking" not in text_of(ask_bot(url, "Sandbox-Haiku-4.5", "hello"))


def test_stop_sequences_end_the_answer(url: str) -> None:
    assert text_of(ask_bot(url, "Sandbox-Echo", "one two three", stop_sequences=["two"])) == "one "


def test_the_image_bot_shows_progress_then_a_file_then_the_picture(url: str) -> None:
    events = events_of(post_query(url, "Sandbox-Image", "a 'cat'").text)
    *progress, file, final, done = events
    assert [data["text"] for _, data in progress] == [f"Generating image ({n}s elapsed)" for n in (1, 2, 3)]
    assert {name for name, _ in progress} == {"replace_response"}
    assert file[0] == "file"
    assert (file[1]["content_type"], file[1]["name"], file[1]["inline_ref"]) == ("image/png", "image.png", None)
    assert final == ("replace_response", {"text": f"![a 'cat'_image_1]({file[1]['url']})"})
    assert done[0] == "done"
    assert get(file[1]["url"]).content.startswith(b"\x89PNG")


def test_the_video_bot_points_at_its_file_and_the_speech_bot_only_sends_it(url: str) -> None:
    film = ask_bot(url, "Sandbox-Video", "a film")
    attachment = next(message.attachment for message in film if message.attachment)
    assert text_of(film) == f"![video.mp4][{attachment.inline_ref}]"
    sound = events_of(post_query(url, "Sandbox-Speech", "a word").text)
    assert [name for name, _ in sound] == ["file", "done"]


def test_somebodys_bot_sends_meta_first_and_suggestions(url: str) -> None:
    names = [name for name, _ in events_of(post_query(url, "Sandbox-Bot", "hi").text)]
    assert names[0] == "meta"
    assert names[-3:] == ["suggested_reply", "suggested_reply", "done"]
    assert text_of(ask_bot(url, "Sandbox-Bot", "hi")) == "You said: hi"


@pytest.mark.parametrize(
    ("prompt", "final"), [("hi", "A second thought: hi"), ("extend", "A first draft, and then: extend")]
)
def test_the_rewriter_takes_its_draft_back_or_extends_it(url: str, prompt: str, final: str) -> None:
    events = events_of(post_query(url, "Sandbox-Rewriter", prompt).text)
    draft = "".join(data["text"] for name, data in events if name == "text")
    assert draft == "A first draft"
    assert events[-2] == ("replace_response", {"text": final})
    assert final.startswith(draft) == (prompt == "extend")


def test_names_are_found_whatever_their_case(url: str) -> None:
    assert text_of(ask_bot(url, "sAnDbOx-EcHo", "hi")) == "hi"


def test_an_unknown_bot_is_an_error_event(url: str) -> None:
    with pytest.raises(fastapi_poe.BotError, match="Bot does not exist"):
        ask_bot(url, "Nobody", "hi")
    response = post_query(url, "Nobody", "hi")
    assert response.status_code == 200
    assert events_of(response.text) == [
        ("error", {"allow_retry": False, "text": "Bot does not exist"}),
        ("done", {}),
    ]


def test_a_missing_key_is_refused_by_the_library(url: str) -> None:
    response = post(f"{url}/bot/Sandbox-Echo", json={"type": "query"})
    assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"type": "query"}',
        b'{"type": "query", "query": []}',
        b'{"type": "query", "query": [3]}',
        b'{"type": "query", "query": [{"role": "user", "content": []}]}',
    ],
)
def test_a_query_that_is_none_is_400(url: str, raw: bytes) -> None:
    response = post(f"{url}/bot/Sandbox-Echo", content=raw, headers={"authorization": f"Bearer {KEY}"})
    assert response.status_code == 400
    assert "error" in response.json()


@pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")
def test_reports_and_settings_are_answered_by_the_library(url: str) -> None:
    def send(**body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEY}"}
        return post(f"{url}/bot/Sandbox-Echo", json={"version": "1.2", **body}, headers=headers)

    assert send(type="report_error", message="m", metadata={}).json() == {}
    assert "allow_attachments" in send(type="settings").json()
    assert send(type="strange").status_code == 501


def test_unknown_keys_and_dry_accounts_are_error_events_or_statuses() -> None:
    keys = {"good": SandboxAccount(), "dry": SandboxAccount(points=0)}
    with sandboxed(keys=keys) as (url, _):
        assert text_of(ask_bot(url, "Sandbox-Echo", "hi", key="good")) == "hi"
        unknown = events_of(post_query(url, "Sandbox-Echo", "hi", key="bad").text)[0]
        dry = events_of(post_query(url, "Sandbox-Echo", "hi", key="dry").text)[0]
    assert unknown == ("error", {"allow_retry": False, "text": "Access denied"})
    assert (dry[0], dry[1]["error_type"]) == ("error", "insufficient_fund")
    with sandboxed(keys=keys, bot_failures="status") as (url, _):
        assert post_query(url, "Sandbox-Echo", "hi", key="bad").status_code == 401
        assert post_query(url, "Sandbox-Echo", "hi", key="dry").status_code == 402
        assert post_query(url, "Nobody", "hi", key="good").status_code == 404
