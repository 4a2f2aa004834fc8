"""Names: a forgiving reading that never guesses, and suggestions for slips of the keyboard."""

from __future__ import annotations

from random import Random
from time import thread_time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from service.errors import Refusal
from service.routing import snapshot
from service.routing.names import MAX_LENGTH, Names, bare, clean, fold, usable

IDS = sorted(model.id for model in snapshot.load())
ALIASES = {"claude-3-7-sonnet": "claude-sonnet-3.7", "GPT-4-1": "gpt-5", "gone": "not-there"}
NAMES = Names(IDS, ALIASES)
NEAR_SECONDS = 0.002

known = st.sampled_from(IDS)
vendors = st.sampled_from(["", "anthropic/", "OpenAI/", "poe/", "openrouter/anthropic/", "acme/"])
suffixes = st.sampled_from(["", "-latest", ":latest", "@latest", "-20250929", "@20251001", "-2024-08-06"])
separators = st.sampled_from([".", "-", "_", " ", "--", " - "])


@settings(max_examples=300, deadline=None)
@given(known, vendors, suffixes, separators, st.randoms(use_true_random=False))
def test_a_known_name_is_found_however_it_is_dressed(
    id_: str, vendor: str, suffix: str, mark: str, random: Random
) -> None:
    cased = "".join(letter.upper() if random.random() < 0.5 else letter for letter in id_)
    spelled = cased.replace("-", mark).replace(".", "-")
    assert NAMES.find(f" {vendor}{spelled}{suffix} ") == id_


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_found_differs_in_dress_alone(name: str) -> None:
    found = NAMES.find(name)
    if found is not None:
        assert fold(found) in fold(name) or fold(name) in map(fold, ALIASES)


def test_the_bundled_names_have_one_reading_each() -> None:
    assert len({fold(id_) for id_ in IDS}) == len(IDS)


def test_what_could_be_two_models_is_neither() -> None:
    names = Names(["flux-2.1", "flux-2-1"], {})
    assert names.find("Flux 2 1") is None
    assert names.find("FLUX-2.1") == "flux-2.1"
    assert set(names.near("flux 2 1")) == {"flux-2.1", "flux-2-1"}


def test_an_alias_counts_only_for_a_model_that_is_there_and_not_against_one() -> None:
    assert NAMES.find("Claude-3.7-Sonnet-20250219") == "claude-sonnet-3.7"
    assert NAMES.find("gpt 4 1") == "gpt-4.1"
    assert NAMES.find("gone") is None


@pytest.mark.parametrize(
    "name",
    [
        *["gpt-5.9", "claude-opus-4.8", "claude-opus-5", "kimi-k2.6-t", "kimi-k3", "gemini-3.1-flash", "grok-4.7"],
        *["minimax-m2.7-hs", "glm-5-fw", "gpt-oss-120b-el", "deepseek-v3.2-di", "glm-4.6w", "gpt-5.4-max", "mybot"],
        *["claude", "o5", "gpt-5.4-turbo", "", "-", "x" * 200],
    ],
)
def test_a_newer_version_or_another_variant_is_no_slip(name: str) -> None:
    assert NAMES.find(name) is None
    assert NAMES.near(name) == ()


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("claud-sonnet-4.6", "claude-sonnet-4.6"),
        ("claude-sonet-4-6", "claude-sonnet-4.6"),
        ("anthropic/cluade-sonnet-4.6-20251001", "claude-sonnet-4.6"),
        ("sonnet-claude-4.6", "claude-sonnet-4.6"),
        ("claudesonnet4.6", "claude-sonnet-4.6"),
        ("gtp-5.2", "gpt-5.2"),
        ("gpt4o", "gpt-4o"),
        ("GPT-5.4-mni", "gpt-5.4-mini"),
        ("gemeni-2.5-pro", "gemini-2.5-pro"),
        ("deepseak-r1", "deepseek-r1"),
        ("nano bananna", "nano-banana"),
    ],
)
def test_a_slip_of_the_keyboard_is_near(slip: str, meant: str) -> None:
    assert NAMES.find(slip) is None
    assert NAMES.near(slip)[0] == meant


@settings(max_examples=300, deadline=None)
@given(known, st.data())
def test_two_letters_swapped_in_a_long_word_are_a_slip(id_: str, data: st.DataObject) -> None:
    places = [place for place in range(len(id_) - 1) if id_[place : place + 2].isalpha()]
    assume(places)
    place = data.draw(st.sampled_from(places))
    slip = id_[:place] + id_[place + 1] + id_[place] + id_[place + 2 :]
    word = next(word for word in fold(slip).split("-") if word not in fold(id_).split("-")) if slip != id_ else ""
    assume(NAMES.find(slip) is None and len(word) >= 4)
    assert id_ in NAMES.near(slip)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=MAX_LENGTH))
def test_suggestions_are_few_and_known(name: str) -> None:
    for suggestions in (NAMES.near(name), NAMES.related(name)):
        assert len(suggestions) <= 3
        assert len(set(suggestions)) == len(suggestions)
        assert set(suggestions) <= set(IDS)


def test_names_that_share_their_words_are_related() -> None:
    assert "claude-opus-4.6" in NAMES.related("claude-opus-5")
    assert NAMES.related("claud-sonnet-4.6")[0] == "claude-sonnet-4.6"
    assert NAMES.related("my-own-thing") == ()


@pytest.mark.parametrize("name", ["claud-sonet-4.6", "recraftt", "gpt-gemini-claude-flash-pro-5", "a" * 64, "1" * 200])
def test_suggesting_takes_less_than_two_milliseconds(name: str) -> None:
    times = []
    for _ in range(5):
        start = thread_time()
        NAMES.near(name)
        NAMES.related(name)
        times.append(thread_time() - start)
    assert min(times) < NEAR_SECONDS


@pytest.mark.parametrize("name", ["Claude-Sonnet-4.6", "my bot", "C# helper?", "50%", "Ärger", "翻译", "x" * 200])
def test_a_name_that_a_url_can_quote_is_usable(name: str) -> None:
    assert usable(name)
    assert clean(f"  {name}\n") == name


@pytest.mark.parametrize("name", ["", "  ", ".", "..", "a\x00b", "a\nb", "a\u200bb", "\ud800", "a\x7f", "x" * 201])
def test_any_other_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        clean(name)
    assert (caught.value.status, caught.value.param, caught.value.code) == (404, "model", "model_not_found")
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()


def test_vendors_are_taken_off_and_other_slashes_are_not() -> None:
    assert bare("anthropic/claude-opus-5") == "claude-opus-5"
    assert bare("openrouter/Google/gemini-9") == "gemini-9"
    assert bare("MyBot") == "MyBot"
    assert bare("acme/thing") is None
    assert bare("poe/acme/thing") is None
    assert bare("poe/") is None
