"""Poe's list is read whatever it holds: what can be known is known, and the rest is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.routing import listing
from service.routing.listing import model_of, rows
from service.routing.model import Model

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = [
    *["id", "root", "created", "description", "owned_by", "architecture", "supported_features", "supported_endpoints"],
    *["context_window", "context_length", "metadata", "parameters", "reasoning", "pricing"],
]


def only(body: bytes) -> Model:
    (row,) = rows(body)
    model = model_of(row)
    assert model is not None
    return model


def test_a_row_as_poe_writes_it_is_read_whole(list_of: Callable[..., bytes]) -> None:
    effort = {
        "name": "output_effort",
        "schema": {"enum": ["high", "low"]},
        "default_value": "low",
        "description": "How.",
    }
    model = only(
        list_of(
            {
                "id": "claude-sonnet-4.6",
                "metadata": {"display_name": "Claude-Sonnet-4.6"},
                "supported_endpoints": ["/v1/messages", "/v1/responses", "/v1/chat/completions"],
                "parameters": [effort],
            }
        )
    )
    assert (model.id, model.name, model.owned_by) == ("claude-sonnet-4.6", "Claude-Sonnet-4.6", "Anthropic")
    assert model.created == 1770262891
    assert model.endpoints == {"messages", "responses", "chat"}
    assert model.input_modalities == {"text", "image"}
    assert model.features == {"tools"}
    assert (model.context_length, model.max_output_tokens) == (983040, 128000)
    found = model.parameters["output_effort"]
    assert (found.schema, found.default, found.description) == ({"enum": ["high", "low"]}, "low", "How.")


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        (1770262891433, 1770262891),
        (1770262891, 1770262891),
        ("1770262891433", 1770262891),
        (1770262891433.7, 1770262891),
        (0, 0),
        (-1, 0),
        (True, 0),
        ("soon", 0),
        ("nan", 0),
        ("inf", 0),
        (None, 0),
        ([1], 0),
        (10**17, 0),
    ],
)
def test_created_is_in_seconds(list_of: Callable[..., bytes], created: Any, seconds: int) -> None:
    assert only(list_of({"id": "m", "created": created})).created == seconds


def test_numbers_may_come_as_strings(list_of: Callable[..., bytes]) -> None:
    model = only(
        list_of(
            {
                "id": "m",
                "context_window": {"context_length": "4096", "max_output_tokens": "1e3"},
                "parameters": [{"name": "n", "schema": {"type": "number", "minimum": "0", "maximum": "31999.5"}}],
            }
        )
    )
    assert (model.context_length, model.max_output_tokens) == (4096, 1000)
    assert model.parameters["n"].schema == {"type": "number", "minimum": 0, "maximum": 31999.5}


def test_a_length_may_stand_in_the_old_place(list_of: Callable[..., bytes]) -> None:
    assert only(list_of({"id": "m", "context_window": None, "context_length": 7})).context_length == 7


def test_a_length_counts_only_where_the_answer_is_text(list_of: Callable[..., bytes]) -> None:
    model = only(list_of({"id": "sora-2", "architecture": {"output_modalities": ["video"]}}))
    assert (model.context_length, model.max_output_tokens, model.makes_text) == (None, None, False)


def test_modalities_are_read_from_the_arrow_where_their_members_are_missing(list_of: Callable[..., bytes]) -> None:
    model = only(list_of({"id": "m", "architecture": {"modality": "text, Image->image"}}))
    assert model.input_modalities == {"text", "image"}
    assert model.output_modalities == {"image"}


def test_missing_members_leave_an_ordinary_text_model() -> None:
    assert model_of({"id": "M"}) == Model(id="m", name="M")


def test_an_endpoint_that_is_not_known_does_not_read_as_none(list_of: Callable[..., bytes]) -> None:
    model = only(list_of({"id": "m", "supported_endpoints": ["/v1/embeddings", "/v1/images/generations", 4, ""]}))
    assert model.endpoints == {"embeddings", "images"}


@pytest.mark.parametrize(
    "row",
    [None, 1, "m", [], {}, {"id": ""}, {"id": " "}, {"id": 5}, {"id": "a\nb"}, {"id": "x" * 201}, {"id": ".."}],
)
def test_a_row_that_names_no_model_is_junk(row: Any) -> None:
    assert model_of(row) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"[]", b"{}", b'{"data":[]}', b'{"data":{}}', b'{"data":"m"}', b'\xff{"data":[1]}'],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson words some of them
        rows(body)


def test_hostile_sizes_are_cut(list_of: Callable[..., bytes]) -> None:
    assert len(rows(list_of(*["m"] * (listing.MAX_MODELS + 10)))) == listing.MAX_MODELS
    model = only(
        list_of(
            {
                "id": "m",
                "description": "x" * 100_000,
                "owned_by": "x" * 100_000,
                "supported_features": ["f" * 1000, *[f"f{number}" for number in range(1000)]],
                "parameters": [{"name": f"p{number}", "schema": {"enum": ["x"] * 1001}} for number in range(200)],
            }
        )
    )
    assert len(model.description) == listing.MAX_DESCRIPTION_LENGTH
    assert len(model.owned_by) == listing.MAX_OWNER_LENGTH
    assert len(model.features) < listing.MAX_WORDS
    assert len(model.parameters) == listing.MAX_PARAMETERS
    assert len(model.parameters["p0"].schema["enum"]) == listing.MAX_CHOICES


def test_a_list_of_too_many_bytes_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LIST_BYTES", 10)
    with pytest.raises(ValueError, match="bytes"):
        rows(b'{"data":["x"]}')


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=8))
def test_no_row_can_break_the_reader(row: dict[str, Any]) -> None:
    model = model_of({"id": "m", **row})
    if model is not None:
        assert model.id == model.id.lower()
        assert model.created >= 0
        assert model.output_modalities
        orjson.dumps([parameter.schema for parameter in model.parameters.values()])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"name": JSON | st.just("p"), "schema": JSON, "default_value": JSON})
        | st.fixed_dictionaries(
            {
                "name": st.just("p"),
                "schema": st.dictionaries(st.sampled_from(["type", "enum", "minimum", "maximum"]), JSON),
            }
        ),
        max_size=3,
    )
)
def test_no_parameter_can_break_the_reader(parameters: list[Any]) -> None:
    model = model_of({"id": "m", "parameters": parameters})
    assert model is not None
    for parameter in model.parameters.values():
        assert parameter.schema.get("enum", ["some"])
        assert all(isinstance(parameter.schema.get(bound, 0), int | float) for bound in ("minimum", "maximum"))


def test_every_row_of_the_recording_is_read(recorded_list: bytes) -> None:
    found = rows(recorded_list)
    models = [model_of(row) for row in found]
    assert len(models) == 362
    for row, model in zip(found, models, strict=True):
        assert model is not None
        assert model.id == row["id"]
        assert model.name == row["metadata"]["display_name"]
        assert model.created == row["created"] // 1000
        assert len(model.endpoints) == len(row["supported_endpoints"])
        assert list(model.parameters) == [parameter["name"] for parameter in row["parameters"]]
        for parameter in row["parameters"]:
            assert model.parameters[parameter["name"]].schema == parameter["schema"]
