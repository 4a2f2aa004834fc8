"""References in a bot's text to its files become their URLs, wherever text and files are cut and whichever is first."""

from __future__ import annotations

import pytest

from service.wires import bot_files
from tests.wires.answers import DONE, Answer, event, ours, text

URL = "https://x/cat (1).png"
SAFE = "https://x/cat%20(1%29.png"
FILE = event("file", {"url": URL, "content_type": "image/png", "name": "cat.png", "inline_ref": "aB3dE6gH"})
GIVEN = [(URL, "image/png", "cat.png")]


def each_letter(words: str) -> bytes:
    return b"".join(text(letter) for letter in words)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (FILE + text("See ![a cat][aB3dE6gH]!"), f"See ![a cat]({SAFE})!"),
        (FILE + each_letter("See ![a cat][aB3dE6gH]!"), f"See ![a cat]({SAFE})!"),
        (text("See ![a cat][aB3dE6gH] and more") + FILE + text("."), f"See ![a cat]({SAFE}) and more."),
        (each_letter("See ![a cat][aB3dE6gH] and more") + FILE, f"See ![a cat]({SAFE}) and more"),
        (FILE + text("here![][aB3dE6gH]![][aB3dE6gH]"), f"here![]({SAFE})![]({SAFE})"),
        (text("![") + FILE + text("a][aB3dE6gH]"), f"![a]({SAFE})"),
    ],
)
def test_a_reference_becomes_the_url_and_the_file_is_not_given_again(body: bytes, expected: str) -> None:
    assert ours([body + DONE]) == Answer(text=expected, finish="stop")
    assert ours([body + DONE], held=True) == Answer(text=expected, finish="stop")


def test_a_file_that_no_text_points_to_is_given() -> None:
    assert ours([FILE + text("x") + DONE]) == Answer(text="x", files=GIVEN, finish="stop")


def test_a_caller_who_wants_parts_gets_the_file_as_well() -> None:
    body = FILE + text("![a][aB3dE6gH]") + DONE
    assert ours([body], files_repeated=True) == Answer(text=f"![a]({SAFE})", files=GIVEN, finish="stop")


@pytest.mark.parametrize(
    "words",
    [
        "Hello!",
        "![alt](https://x/y.png) and ![alt][logo] !",
        "vec![1, 2][index_of_it] and println![x][aB3dE6gH",
        "![unknown][zzzzzzzz] stays",
        "!",
        "![",
        "![a][",
        "a ![b",
        '![quo"ted][x] \\ ![',
    ],
)
def test_text_that_points_nowhere_stays_as_it_is(words: str) -> None:
    assert ours([text(words) + DONE]).text == words
    assert ours([each_letter(words) + DONE]).text == words
    assert ours([each_letter(words) + FILE + DONE]).text == words


def test_ordinary_exclamations_are_not_held_back() -> None:
    for words in ("Hello!", "vec![0][some_index]", "![a](https://x)"):
        assert ours([text(words)]).text == words


def test_a_letter_before_an_exclamation_counts_over_reads() -> None:
    for words in ("vec", "![a](https://x) vec"):
        assert ours([text(words), text("![0][some_index]")]).text == words + "![0][some_index]"


def test_text_waits_for_a_file_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ours([text("a ![b][zzzzzzzz] c")]).text == "a "
    monkeypatch.setattr(bot_files, "MAX_AWAITED_BYTES", 50)
    assert ours([text("a ![b][zzzzzzzz] "), text("c" * 60)]).text == "a ![b][zzzzzzzz] " + "c" * 60
