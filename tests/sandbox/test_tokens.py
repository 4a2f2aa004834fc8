"""The rough count of tokens is near the counts that Poe reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.sandbox.tokens import count_tokens, take_tokens


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("Say hello in exactly 3 words", 7),
        ("What is the weather in San Francisco? Use the getWeather tool.", 14),
        ("Hello there friend", 3),
        ("Greetings, my friend.", 5),
        ("", 0),
    ],
)
def test_short_texts_are_counted_as_poe_counted_them(text: str, reported: int) -> None:
    assert count_tokens(text) == reported


def test_recorded_answers_are_counted_within_a_fifth(root: Path) -> None:
    folder = root / "../shared/recordings/poe"
    if not folder.is_dir():
        pytest.skip("the recorded answers of Poe are not here")
    reported = counted = 0
    for path in folder.glob("v1-chat-completions-*.json"):
        body = json.loads(path.read_text())["response"]["body"]
        if "usage" not in body or body["choices"][0]["message"].get("tool_calls"):
            continue
        text = body["choices"][0]["message"]["content"]
        if "poecdn" in text:
            continue
        reported += body["usage"]["completion_tokens"]
        counted += count_tokens(text)
    assert reported > 1_000
    assert abs(counted - reported) < reported / 5


def test_taking_tokens_stops_at_the_limit_and_not_before() -> None:
    text = "one two three four"
    assert take_tokens(text, 2) == "one two"
    assert take_tokens(text, 4) == text
    assert take_tokens(text, 100) == text
