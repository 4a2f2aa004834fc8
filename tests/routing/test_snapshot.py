"""The bundled snapshot: it holds what is known of the catalogue of 1 April 2026, and loads in no time."""

from __future__ import annotations

from collections import Counter
from time import thread_time

from service.routing import snapshot
from service.routing.catalogue import Catalogue
from service.routing.listing import model_of, rows

LOAD_SECONDS = 0.025
"""Measured: 1.4 ms, 2.4 ms the first time; the bound leaves room for a busy machine."""


def test_it_holds_as_many_models_of_each_kind_as_were_counted() -> None:
    models = snapshot.load()
    kinds = Counter("+".join(sorted(model.output_modalities)) for model in models)
    assert kinds == {"text": 206, "image+text": 4, "image": 76, "video": 60, "audio": 16}
    assert len({model.id for model in models}) == 362
    assert all(model.owned_by and model.created == 1775001600 for model in models)


def test_it_marks_endpoints_where_they_are_known() -> None:
    marked = Counter(frozenset(model.endpoints) for model in snapshot.load() if model.endpoints)
    assert marked == {
        frozenset({"messages", "responses", "chat"}): 11,
        frozenset({"images"}): 3,
        frozenset({"videos"}): 8,
        frozenset({"audio"}): 1,
        frozenset({"responses"}): 2,
    }


def test_it_knows_who_listens_or_watches() -> None:
    assert sum("audio" in model.input_modalities for model in snapshot.load()) == 21


def test_each_family_has_its_thinking_control() -> None:
    controls = {model.id: set(model.parameters) for model in snapshot.load()}
    for id_, control in {
        "gpt-5.2": "reasoning_effort",
        "o3": "reasoning_effort",
        "claude-sonnet-4.6": "output_effort",
        "claude-sonnet-4.5": "thinking_budget",
        "gemini-3-flash": "thinking_level",
        "gemini-2.5-pro": "thinking_budget",
        "kimi-k2.5": "enable_thinking",
        "glm-5": "enable_thinking",
        "qwen3.5-plus": "enable_thinking",
        "deepseek-v3.2": "enable_thinking",
        "mimo-v2-pro": "deep_thinking",
    }.items():
        assert controls[id_] == {control}, id_
    for id_ in ("gpt-4o", "gpt-5-chat", "claude-haiku-3", "gemini-2.0-flash", "grok-4", "sora-2", "gemini-2.5-pro-tts"):
        assert controls[id_] == set(), id_


def test_it_loads_in_no_time() -> None:
    times = []
    for _ in range(10):
        start = thread_time()
        snapshot.load()
        times.append(thread_time() - start)
    assert min(times) < LOAD_SECONDS


def test_it_agrees_with_the_list_that_poe_sent(recorded_list: bytes) -> None:
    real = {model.id: model for model in map(model_of, rows(recorded_list)) if model is not None}
    ours = {model.id: model for model in snapshot.load()}
    assert ours.keys() == real.keys()
    for id_, model in ours.items():
        assert model.output_modalities == real[id_].output_modalities, id_
        assert model.owned_by == real[id_].owned_by, id_
        assert model.endpoints <= real[id_].endpoints, id_


def test_the_catalogue_starts_with_it() -> None:
    catalogue = Catalogue()
    assert len(catalogue.models()) == 362
    model = catalogue.find("GPT-5.4")
    assert model is not None
    assert model.refuses == {"stream_options"}
