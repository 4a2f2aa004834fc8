"""The sandbox's REST answers have the shapes of Poe's recorded ones: the same members, of the same types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.talking import WEATHER, get, post_chat

HELLO = "Say hello in exactly 3 words"
ASK_WEATHER = "What is the weather in San Francisco? Use the getWeather tool."


@pytest.fixture(scope="module")
def recordings(root: Path) -> Path:
    folder = root / "../shared/recordings/poe"
    if not folder.is_dir():
        pytest.skip("the recorded answers of Poe are not here")
    return folder


def recorded(folder: Path, name: str) -> dict[str, Any]:
    (path,) = folder.glob(f"v1-chat-completions-{name}.json")
    answer: dict[str, Any] = json.loads(path.read_text())
    return answer


def shape(value: Any, path: str = "") -> Iterator[str]:
    """Every member's path and type; whole and broken numbers are told apart, items of a list are not."""
    if isinstance(value, dict):
        yield f"{path} object"
        for name, member in value.items():
            yield from shape(member, f"{path}.{name}")
    elif isinstance(value, list):
        yield f"{path} array"
        for item in value:
            yield from shape(item, f"{path}[]")
    else:
        yield f"{path} {type(value).__name__}"


@pytest.mark.parametrize(
    ("recording", "model", "body"),
    [
        ("grok-3-39ba17878382", "sandbox-echo", {}),
        ("gpt-3.5-turbo-raw-805e5ec4d613", "sandbox-gpt-5.2", {}),
        ("kimi-k2-thinking-14148d667b90", "sandbox-reasoner", {}),
        ("Imagen-4-Ultra-d7e4a90b7f14", "Sandbox-Image", {}),
        ("ElevenLabs-v2.5-Turbo-74194f1a48bf", "Sandbox-Speech", {}),
        ("Grok-4-bbc26863437c", "Sandbox-Grok-4", {"tools": [WEATHER], "tool_choice": "auto"}),
        ("Kimi-K2.5-9fc916d4d529", "Sandbox-Kimi-K2.5", {"tools": [WEATHER], "tool_choice": "auto"}),
        ("gemini-2.5-pro-7f66b2d80591", "sandbox-gemini-3.1", {"tools": [WEATHER], "tool_choice": "auto"}),
        (
            "gemini-3.1-pro-f4e68dc4d4ba",
            "sandbox-gemini-3.1",
            {"tools": [WEATHER], "tool_choice": "auto", "thinking_level": "high"},
        ),
        ("kimi-k2.5-fw-80e89f811ead", "sandbox-kimi-k2.5-fw", {"tools": [WEATHER], "tool_choice": "auto"}),
    ],
)
def test_an_answer_has_the_members_of_the_recorded_one(
    recordings: Path, url: str, recording: str, model: str, body: dict[str, Any]
) -> None:
    poe = recorded(recordings, recording)["response"]
    ours = post_chat(url, model, ASK_WEATHER if "tools" in body else HELLO, **body)
    assert ours.status_code == poe["status"]
    assert set(shape(ours.json())) == set(shape(poe["body"]))
    assert {choice["finish_reason"] for choice in ours.json().get("choices", [])} == {
        choice["finish_reason"] for choice in poe["body"].get("choices", [])
    }


@pytest.mark.parametrize(
    ("recording", "model"),
    [
        ("Imagen-4-Ultra-d7e4a90b7f14", "sandbox-image"),
        ("ElevenLabs-v2.5-Turbo-74194f1a48bf", "sandbox-speech"),
    ],
)
def test_media_stand_in_the_text_as_in_the_recorded_ones(
    recordings: Path, url: str, recording: str, model: str
) -> None:
    address = re.compile(r"https?://[^\s)]+/base/(image|audio)/[0-9a-f]+(\?w=\d+&h=\d+)?")

    def content(body: dict[str, Any]) -> str:
        return address.sub("URL", body["choices"][0]["message"]["content"])

    ours = post_chat(url, model, HELLO).json()
    theirs = recorded(recordings, recording)["response"]["body"]
    assert content(ours) == content(theirs)
    assert "URL" in content(ours)
    assert (ours["usage"]["completion_tokens"] == 0) == (theirs["usage"]["completion_tokens"] == 0)


@pytest.mark.parametrize(
    ("recording", "model"),
    [("Grok-4-bbc26863437c", "sandbox-grok-4"), ("Kimi-K2.5-9fc916d4d529", "sandbox-kimi-k2.5")],
)
def test_tool_calls_are_counted_as_the_recorded_ones(recordings: Path, url: str, recording: str, model: str) -> None:
    theirs = recorded(recordings, recording)["response"]["body"]
    ours = post_chat(url, model, ASK_WEATHER, tools=[WEATHER]).json()
    assert ours["usage"]["prompt_tokens"] == theirs["usage"]["prompt_tokens"]
    assert (ours["usage"]["completion_tokens"] == 0) == (theirs["usage"]["completion_tokens"] == 0)
    (our_call,), (their_call,) = (body["choices"][0]["message"]["tool_calls"] for body in (ours, theirs))
    digits = re.compile(r"\d{8}")
    assert digits.sub("N", our_call["id"]) == digits.sub("N", their_call["id"])


def test_a_refusal_of_tools_is_the_recorded_one_word_for_word(recordings: Path, url: str) -> None:
    theirs = recorded(recordings, "kimi-k2.5-fw-80e89f811ead")["response"]["body"]
    ours = post_chat(url, "sandbox-kimi-k2.5-fw", ASK_WEATHER, tools=[WEATHER]).json()
    told = json.loads(json.dumps(ours).replace("sandbox-", ""))
    assert told == theirs


def test_the_catalogue_has_the_members_of_the_recorded_one(recordings: Path, url: str) -> None:
    theirs = json.loads((recordings / "v1-models.json").read_text())["response"]["body"]
    ours = get(f"{url}/v1/models").json()
    assert set(shape(ours)) <= set(shape(theirs))
    fixed = {
        path
        for path in shape(theirs["data"][0])
        if not re.search("parameters|reasoning|pricing|context|supported", path)
    }
    for model in ours["data"]:
        assert fixed <= set(shape(model)), model["id"]
        assert model["id"] == model["metadata"]["display_name"].lower()
        assert set(model) == set(theirs["data"][0])


def test_the_catalogue_lists_chat_or_nothing_or_something_else(url: str) -> None:
    listed = {tuple(model["supported_endpoints"]) for model in get(f"{url}/v1/models").json()["data"]}
    assert {(), ("/v1/chat/completions",), ("/v1/videos",)} == listed


def test_the_catalogue_declares_every_family_of_thinking(url: str) -> None:
    models = get(f"{url}/v1/models").json()["data"]
    names = {parameter["name"] for model in models for parameter in model["parameters"]}
    families = {"reasoning_effort", "output_effort", "thinking_budget", "thinking_level", "enable_thinking"}
    assert families | {"deep_thinking"} <= names


def test_the_strict_shape_is_that_of_litellm_under_the_providers_name(url: str) -> None:
    answer = post_chat(url, "Sandbox-Claude-4.6", HELLO).json()
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{8}-[0-9a-f-]{27}", answer["id"])
    assert answer["model"] == "sandbox-claude-4-6@20260205"
    assert answer["system_fingerprint"] is None
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": HELLO,
        "tool_calls": None,
        "function_call": None,
        "provider_specific_fields": {"citations": None, "thinking_blocks": None},
    }
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert answer["usage"]["cache_read_input_tokens"] == 0


def test_the_usual_shape_repeats_the_name_as_it_was_sent(url: str) -> None:
    answer = post_chat(url, "SANDBOX-echo", HELLO).json()
    assert answer["model"] == "SANDBOX-echo"
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", answer["id"])


def test_headers_leak_what_poe_leaks(url: str) -> None:
    headers = post_chat(url, "sandbox-echo", HELLO).headers
    assert headers["set-cookie"].startswith("__cf_bm=")
    assert "192.0.2.44" in headers["x-q-stat"]
    assert re.fullmatch(r"req_poe_[0-9a-f]{32}", headers["x-request-id"])
    assert "x-ratelimit-limit-requests" not in headers
