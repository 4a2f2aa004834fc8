"""Estimates stay within bounds that a person finds sane, and the fewest tokens are really the fewest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.events import Event, Extra, File, Finish, Progress, Reasoning, Text, ToolCall, escape
from service.prompt import Call, MediaPart, Prompt, TextPart, Tool, Turn
from service.stages.estimate import MEDIA_TOKENS, Floor, Meter, escaped_tokens, prompt_tokens, text_tokens
from tests.stages.tokenizer import pretokens

ENGLISH = (
    "A gateway stands between many callers and one provider. It keeps what each of them was promised, even on days "
    "when the provider does not. When an answer breaks in the middle, it says so. "
)
CHINESE = "网关站在许多调用者和一个提供者之间。它信守对每个人的承诺,即使提供者没有做到。"
CODE = 'def add(a: int, b: int) -> int:\n    """The sum."""\n    return a + b\n\n\nprint(add(1, 2))\n'
RUSSIAN = "Шлюз стоит между многими клиентами и одним поставщиком и держит слово."


def test_a_word_of_english_is_about_a_token_and_a_bit() -> None:
    words = len(ENGLISH.split())
    assert words <= text_tokens(ENGLISH) <= 1.7 * words


def test_a_chinese_character_is_about_a_token() -> None:
    assert 0.6 * len(CHINESE) <= text_tokens(CHINESE) <= 1.3 * len(CHINESE)


def test_other_letters_lie_between() -> None:
    assert len(RUSSIAN) / 4 <= text_tokens(RUSSIAN) <= len(RUSSIAN)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, CODE, RUSSIAN, "", "\n" * 40, "🙂🙂"])
def test_escaped_text_counts_as_plain_text_does(text: str) -> None:
    plain = text_tokens(text)
    assert plain <= escaped_tokens([escape(text)]) <= 1.3 * plain + 10
    assert escaped_tokens([escape(character) for character in text]) == escaped_tokens([escape(text)])


def test_escapes_of_another_script_count_as_its_characters() -> None:
    assert escaped_tokens([b"\\u7f51\\u5173"]) == 2


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_an_estimate_is_never_more_than_the_bytes(text: str) -> None:
    assert 0 <= text_tokens(text) <= len(text.encode())


def test_everything_that_is_sent_counts() -> None:
    bare = prompt_tokens(Prompt("m", (Turn("user", (TextPart("x" * 400),)),)))
    assert 100 <= bare <= 110
    turns = (
        Turn("user", (TextPart("x" * 400), MediaPart("image", url="https://x.org/a.png"))),
        Turn("assistant", calls=(Call("c", "look", "y" * 400),)),
        Turn("tool", (TextPart("z" * 400),), call_id="c"),
    )
    tool = Tool("look", "d" * 400, {"type": "object"})
    full = prompt_tokens(Prompt("m", turns, tools=(tool,)))
    assert 400 + MEDIA_TOKENS <= full <= 460 + MEDIA_TOKENS
    assert prompt_tokens(Prompt("m", ())) == 1


def test_a_meter_tells_thoughts_from_the_rest() -> None:
    meter = Meter()
    events: list[Event] = [
        Text((b"a" * 40,)),
        Reasoning((b"b" * 80,)),
        ToolCall(0, "c", "look", "x" * 36),
        Progress(),
        File("https://x.org"),
        Extra({"a": 1}),
        Finish("stop"),
    ]
    for event in events:
        meter.feed(event)
    assert meter.completion_tokens == 10 + 9 + 4
    assert meter.reasoning_tokens == 20


def floor_of(text: str, size: int = 7) -> float:
    floor = Floor()
    for at in range(0, len(text), size):
        floor.feed(Text((escape(text[at : at + size]),)))
    floor.feed(Text((escape(" " * 300),)))  # whatever is open is over now
    return floor.tokens


LATIN = st.text(st.sampled_from("abcdefghXYZé0123456789 .,_-'\"(){}:/\n"), max_size=400)


@given(LATIN, st.integers(1, 50))
@settings(max_examples=600, deadline=None)
def test_the_fewest_are_never_more_than_a_tokenizer_must_make(text: str, size: int) -> None:
    assert floor_of(text, size) <= pretokens(text) + len(text) / 64 + 1


@pytest.mark.parametrize("text", [ENGLISH * 5, CODE * 5])
def test_the_fewest_are_not_far_from_what_there_is(text: str) -> None:
    assert floor_of(text) >= 0.4 * text_tokens(text)


def test_blanks_and_rows_of_signs_count_for_little() -> None:
    assert floor_of(" \n\t" * 1000) == 0
    assert floor_of("-" * 6400) <= 101


def test_a_language_without_blanks_counts_as_it_comes() -> None:
    floor = Floor()
    for _ in range(400):
        floor.feed(Text((escape(CHINESE),)))
    assert floor.tokens >= 400 * len(CHINESE) / 5


def test_thoughts_and_arguments_count_as_well() -> None:
    floor = Floor()
    floor.feed(Reasoning((b"one two three " * 40,)))
    assert 100 <= floor.tokens <= 120
    floor.feed(ToolCall(0, "c", "look", "four five " * 40))
    assert 180 <= floor.tokens <= 200
    floor.feed(Progress())
    assert floor.tokens <= 200
