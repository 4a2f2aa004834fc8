"""models.toml: the corrections are read strictly and reach the models that they name, no others."""

from __future__ import annotations

import pytest

from service.routing.catalogue import Catalogue
from service.routing.corrections import load
from service.routing.model import Model


def corrected(id_: str, owner: str = "", outputs: str = "text", features: str = "tools") -> Model:
    model = Model(
        id=id_, name=id_, owned_by=owner, output_modalities=frozenset(outputs.split()), features=frozenset([features])
    )
    return load().apply(model)


@pytest.mark.parametrize("id_", ["gpt-5.2", "o3", "sora-2"])
def test_models_of_openai_refuse_stream_options(id_: str) -> None:
    assert "stream_options" in corrected(id_, "OpenAI").refuses


def test_models_of_others_do_not() -> None:
    assert "stream_options" not in corrected("gpt-oss-120b", "Novita AI").refuses


@pytest.mark.parametrize(
    "id_",
    ["grok-4", "gemini-2.5-pro", "qwen3-max", "qwen-2.5-7b-t", "glm-5", "kimi-k2.5", "minimax-m2.7", "claude-opus-4.6"],
)
def test_families_whose_tool_calls_get_lost_in_streams_are_asked_whole(id_: str) -> None:
    assert not corrected(id_).tools_stream


@pytest.mark.parametrize("id_", ["gpt-5.2", "gemini-3.1-pro", "deepseek-v3.2", "kimi-k3"])
def test_families_whose_tool_calls_stream_are_streamed(id_: str) -> None:
    assert corrected(id_).tools_stream


@pytest.mark.parametrize(
    ("id_", "owner"),
    [
        ("gpt-4o-search", "OpenAI"),
        ("gpt-4o-mini-search", "OpenAI"),
        ("gpt-3.5-turbo-instruct", "OpenAI"),
        ("deepseek-v4-pro-el", "Empirio Labs AI"),
        ("glm-4.7-t", "Together AI"),
        ("kimi-k2.6-tog", "Together AI"),
    ],
)
def test_models_that_refuse_tools_are_known(id_: str, owner: str) -> None:
    assert "tools" in corrected(id_, owner).refuses


@pytest.mark.parametrize(
    ("id_", "owner"), [("gpt-4o", "OpenAI"), ("gpt-image-t", "Other"), ("kimi-k2.5-fw", "Fireworks AI")]
)
def test_models_that_take_tools_are_let_be(id_: str, owner: str) -> None:
    assert "tools" not in corrected(id_, owner).refuses
    assert corrected(id_, owner).features == {"tools"}


def test_a_feature_that_a_model_has_not_is_dropped() -> None:
    assert corrected("gpt-4o-search", "OpenAI").features == frozenset()


def test_two_rules_about_one_model_add_up() -> None:
    assert corrected("gpt-4o-search", "OpenAI").refuses == {"tools", "stream_options"}


def test_an_output_that_the_list_forgot_is_added() -> None:
    model = corrected("gpt-5.4-mini", "OpenAI", outputs="image")
    assert model.makes_text
    assert not model.replaces


@pytest.mark.parametrize("outputs", ["image", "video", "audio"])
def test_media_bots_are_slow_and_replace_their_text(outputs: str) -> None:
    model = corrected("some-bot", outputs=outputs)
    assert (model.makes_text, model.slow, model.replaces) == (False, True, True)


@pytest.mark.parametrize(
    "id_",
    ["o3-deep-research", "perplexity-adv-deep-research", "o1-pro", "gpt-5.2-pro", "exa-research", "linkup-deep-search"],
)
def test_models_that_think_for_minutes_are_slow(id_: str) -> None:
    assert corrected(id_).slow


@pytest.mark.parametrize("id_", ["gemini-2.5-pro", "gpt-5.2", "seed-2.0-pro", "mimo-v2-pro", "grok-4"])
def test_models_that_only_sound_like_it_are_not(id_: str) -> None:
    assert not corrected(id_).slow


def test_gemini_wants_its_signatures_and_claude_its_thoughts() -> None:
    assert corrected("gemini-3.1-pro").signatures
    assert corrected("claude-sonnet-4.6", "Anthropic").thoughts_required
    assert not corrected("gemini-2.5-pro").signatures, "it validates none, and might mind a made-up one"
    assert not corrected("gpt-5.2").signatures


def test_a_later_rule_wins_and_every_condition_must_fit() -> None:
    found = load(
        """
        [aliases]
        sonnet = "claude-sonnet-4.6"
        [[rule]]
        why = "all of them"
        tools_wire = "bot"
        slow = true
        [[rule]]
        why = "but one"
        ids = ["a*"]
        not_ids = ["*z"]
        owners = ["Us"]
        tools_wire = "chat"
        """
    )
    wires = {id_: found.apply(Model(id=id_, name=id_, owned_by="Us")).tools_wire for id_ in ("ab", "az", "b")}
    assert wires == {"ab": "chat", "az": "bot", "b": "bot"}
    assert found.apply(Model(id="ab", name="", owned_by="Them")).tools_wire == "bot"
    assert found.aliases == {"sonnet": "claude-sonnet-4.6"}


@pytest.mark.parametrize(
    "text",
    [
        "[[rule]]\nids = ['x']",
        "[[rule]]\nwhy = ''",
        "[[rule]]\nwhy = 'w'\nslw = true",
        "[[rule]]\nwhy = 'w'\nslow = 1",
        "[[rule]]\nwhy = 'w'\ntools_wire = 'responses'",
        "[rules]",
        "[[rule]",
    ],
)
def test_a_slip_in_the_file_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"models\.toml|Expected"):
        load(text)


def test_every_rule_reaches_a_model_of_the_recording_or_tells_of_a_later_one(recorded: Catalogue) -> None:
    models = recorded.models()
    idle = [rule for rule in load().rules if not any(rule.fits(model, model.output_modalities) for model in models)]
    later, sandboxed = idle
    assert later.lists == {"refuses": {"tools"}}, "deepseek-v4-*-el came after the recording"
    assert sandboxed.values == {"replaces": True}, "the sandbox's rewriting bot is on no list of Poe's"
