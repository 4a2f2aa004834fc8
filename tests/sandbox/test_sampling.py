"""What is sampled from a JSON Schema fits it, and takes its words from the prompt."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from service.sandbox.sampling import sample

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {}},
    {"type": "object", "properties": {"a": {"type": "string"}}},
    PERSON,
    {"type": "object", "properties": {"people": {"type": "array", "items": PERSON}}, "required": ["people"]},
    {"$defs": {"P": PERSON}, "type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}, "required": ["p"]},
    {"definitions": {"P": PERSON}, "$ref": "#/definitions/P"},
    {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["value", "next", "children"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/Node",
    },
    {"enum": ["red", "green"]},
    {"const": 7},
    {"type": ["string", "null"], "minLength": 3, "maxLength": 5},
    {"type": "string", "minLength": 300},
    {"type": "string", "pattern": "^[A-Z]{3}$"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "email"},
    {"type": "integer", "minimum": 5, "maximum": 9},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "number", "minimum": 0.5, "exclusiveMaximum": 1},
    {"type": "integer", "multipleOf": 4, "minimum": 6},
    {"type": "integer", "maximum": -3},
    {"minimum": 3},
    {"type": "boolean"},
    {"type": "null"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"oneOf": [{"type": "null"}, PERSON]},
    {"allOf": [PERSON, {"properties": {"mail": {"type": "string"}}, "required": ["mail"]}]},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {"type": "integer"}}},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("prompt", ["", "Call it 'Ada' with 3 and -8.5", "创建一个名为“你好啊集团”的客户"])
def test_a_sample_fits_its_schema(schema: dict[str, Any], prompt: str) -> None:
    value = sample(schema, prompt)
    assert jsonschema_rs.is_valid(schema, value), value


def test_a_sample_is_the_same_each_time() -> None:
    assert sample(PERSON, "Call it 'Ada'") == sample(PERSON, "Call it 'Ada'")


def test_strings_take_what_the_prompt_quotes_in_order() -> None:
    schema = {
        "type": "object",
        "properties": {"first": {"type": "string"}, "second": {"type": "string"}},
        "required": ["first", "second"],
    }
    assert sample(schema, "From \"Paris\" to 'Rome' now") == {"first": "Paris", "second": "Rome"}
    assert sample(schema, "no quotation here")["first"] == "no quotation here"


def test_numbers_take_the_prompts_numbers_where_the_bounds_allow() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer", "maximum": 0}},
        "required": ["a", "b", "c"],
    }
    assert sample(schema, "Add 12 to 30 please") == {"a": 12, "b": 30, "c": 0}


def test_a_choice_that_the_prompt_names_is_taken() -> None:
    schema = {"enum": ["low", "high"]}
    assert sample(schema, "make it high") == "high"
    assert sample(schema, "make it so") == "low"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema.json"},
        {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 2},
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"$ref": "#"}}, "required": ["a", "b", "c"]},
        {"type": "array", "prefixItems": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}]},
        {"allOf": [{"$ref": "#"}]},
        {"type": "string", "pattern": "("},
        {"type": "strange"},
        {"properties": 3, "required": [1]},
        True,
        None,
    ],
    ids=str,
)
def test_a_schema_that_nothing_fits_does_not_hang_or_raise(schema: Any) -> None:
    sample(schema, "prompt")
