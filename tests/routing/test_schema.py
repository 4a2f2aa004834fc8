"""Values for declared parameters: made to fit where one reading fits, else refused by name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Refusal
from service.routing.model import Parameter
from service.routing.schema import MAX_JSON_BYTES, MAX_TEXT_LENGTH, coerce

STRINGS = {"enum": ["4", "8", "12"]}
WORDS = {"enum": ["Low", "high"]}
MIXED = {"enum": [1, 2.5, True]}
SWITCH = {"type": "boolean"}
RANGE = {"type": "number", "minimum": 0, "maximum": 31999}
WHOLE = {"type": "integer", "minimum": 1}
TEXT = {"type": "string"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("schema", "given_", "sent"),
    [
        (STRINGS, "8", "8"),
        (STRINGS, 8, "8"),
        (STRINGS, 8.0, "8"),
        (WORDS, "low", "Low"),
        (WORDS, " HIGH ", "high"),
        (MIXED, "2.5", 2.5),
        (MIXED, "true", True),
        (SWITCH, True, True),
        (SWITCH, "false", False),
        (SWITCH, 0, False),
        (SWITCH, "on", True),
        (RANGE, 8000, 8000),
        (RANGE, "8000", 8000),
        (RANGE, 0.5, 0.5),
        (RANGE, 4096.0, 4096),
        (WHOLE, "3", 3),
        (TEXT, "blue", "blue"),
        (TEXT, 42, "42"),
        (TEXT, True, "true"),
        ({}, {"a": [1]}, {"a": [1]}),
        ({"type": "array"}, [1], [1]),
    ],
)
def test_a_value_is_sent_as_the_model_wants_it(schema: dict[str, Any], given_: Any, sent: Any) -> None:
    found = coerce(Parameter("p", schema), given_)
    assert found == sent
    assert type(found) is type(sent)


@pytest.mark.parametrize(
    ("schema", "given_", "told"),
    [
        (STRINGS, 5, "must be one of: 4, 8, 12"),
        (WORDS, ["low"], "must be one of: Low, high"),
        (SWITCH, "maybe", "must be true or false"),
        (SWITCH, 2, "must be true or false"),
        (RANGE, 32000, "must be a number from 0 to 31999"),
        (RANGE, -1, "must be a number from 0 to 31999"),
        (RANGE, True, "must be a number from 0 to 31999"),
        (RANGE, float("nan"), "must be a number from 0 to 31999"),
        (RANGE, "1e999", "must be a number from 0 to 31999"),
        (RANGE, 10**400, "must be a number from 0 to 31999"),
        (WHOLE, 1.5, "must be a whole number of at least 1"),
        ({"type": "number", "maximum": 3}, 4, "must be a number of at most 3"),
        ({"type": "number"}, "x", "must be a number"),
        ({"type": "number"}, float("inf"), "must be a number"),
        ({"type": "number"}, 10**400, "must be a number"),
        (TEXT, {"a": 1}, "must be a text"),
        (TEXT, "x" * (MAX_TEXT_LENGTH + 1), "characters"),
        ({}, "x" * (MAX_JSON_BYTES + 1), "bytes"),
        ({}, {"a": 10**400}, "no JSON value"),
    ],
)
def test_a_value_that_cannot_fit_is_refused_by_name(schema: dict[str, Any], given_: Any, told: str) -> None:
    with pytest.raises(Refusal, match="`p`") as caught:
        coerce(Parameter("p", schema), given_)
    assert (caught.value.status, caught.value.type, caught.value.param) == (400, "invalid_request_error", "p")
    assert told in caught.value.message


def test_a_long_list_of_choices_is_told_in_part() -> None:
    with pytest.raises(Refusal) as caught:
        coerce(Parameter("voice", {"enum": [f"voice-{number}" * 20 for number in range(500)]}), "mine")
    assert len(caught.value.message) < 1000


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([STRINGS, WORDS, MIXED, SWITCH, RANGE, WHOLE, TEXT, {}]), JSON)
def test_whatever_is_sent_is_json_that_fits(schema: dict[str, Any], value: Any) -> None:
    try:
        sent = coerce(Parameter("p", schema), value)
    except Refusal:
        return
    orjson.dumps(sent)
    assert "enum" not in schema or sent in schema["enum"]
    assert schema.get("minimum", sent) <= sent if "minimum" in schema else True
    assert sent <= schema["maximum"] if "maximum" in schema else True
