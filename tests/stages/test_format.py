"""Answers that must be JSON are asked for, checked, mended once, and no schema can hurt this process."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Refusal
from service.events import Event, Finish, Reasoning, Text, ToolCall, Usage, escape
from service.prompt import OutputFormat, Prompt, TextPart, Tool, Turn
from service.stages.format import Checker, Collected, ask, ask_again, collect, unfenced
from service.stages.schema import MISFIT, PARAM, TOO_MUCH, Schema, size_of

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    "required": ["name"],
    "additionalProperties": False,
}
SPARE_SECONDS = 2.0
"""What any schema and any answer may cost here, on a slow machine: a hang takes minutes."""


def checker(schema: dict[str, Any]) -> Checker:
    return Checker(OutputFormat("json_schema", "n", schema))


def refusal(schema: dict[str, Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        checker(schema)
    assert (caught.value.status, caught.value.param) == (400, PARAM)
    return caught.value


def test_an_answer_that_fits_is_fine() -> None:
    assert checker(PERSON).reason_against('{"name": "Ann", "age": null}') is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Sure!", "it is not JSON"),
        ("", "it is not JSON"),
        ('{"name": NaN}', "it is not JSON"),
        ('{"age": 3}', '"name" is a required property'),
        ('{"name": 3}', 'at /name: 3 is not of type "string"'),
        ('{"name": "Ann", "age": "old"}', "at /age:"),
        ('{"name": "Ann", "x": 1}', "Additional properties"),
        ("[" * 2000 + "]" * 2000, "it is not JSON"),
    ],
)
def test_an_answer_that_does_not_fit_is_told_why(answer: str, reason: str) -> None:
    told = checker(PERSON).reason_against(answer)
    assert told is not None
    assert reason in told
    assert len(told) <= 400


@pytest.mark.parametrize(("answer", "fine"), [("{}", True), ('{"a": 1}', True), ("[]", False), ('"{}"', False)])
def test_a_json_object_is_an_object(answer: str, fine: bool) -> None:
    assert (Checker(OutputFormat("json_object")).reason_against(answer) is None) is fine


def test_no_schema_takes_any_json() -> None:
    assert checker({}).reason_against("[1]") is None


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"a": 1}\n```',
        '\n```\n{"a": 1}\n```  \n',
        '```JSON \r\n{"a": 1}\r\n```',
        '{"a": 1}',
    ],
)
def test_a_fence_around_all_of_it_is_taken_off(text: str) -> None:
    assert unfenced(text) == '{"a": 1}'


@pytest.mark.parametrize("text", ['Here: ```json\n{"a": 1}\n```', '```json\n{"a": 1}', "``` ```", ""])
def test_other_fences_stay(text: str) -> None:
    assert unfenced(text) == text


def prompt(**members: Any) -> Prompt:
    turns = (Turn("system", (TextPart("s"),)), Turn("user", (TextPart("u"),)), Turn("assistant", (TextPart("a"),)))
    return Prompt("m", turns, **members)


def test_the_schema_is_asked_for_in_words_behind_the_instructions() -> None:
    asked = ask(prompt(output_format=OutputFormat("json_schema", "n", PERSON)))
    assert [turn.role for turn in asked.turns] == ["system", "system", "user", "assistant"]
    assert '"additionalProperties":false' in asked.turns[1].text
    assert ask(prompt()) == prompt()
    assert [turn.role for turn in ask(Prompt("m", (), output_format=OutputFormat("json_object"))).turns] == ["system"]


def test_who_may_call_tools_is_not_told_to_answer_at_once() -> None:
    words = ask(prompt(output_format=OutputFormat("json_object"), tools=(Tool("look"),))).turns[1].text
    assert words.startswith("When you do not call a tool")


def test_a_schema_with_any_number_can_be_asked_for() -> None:
    asked = ask(prompt(output_format=OutputFormat("json_schema", "n", {"maximum": 10**30})))
    assert "1e30" in asked.turns[1].text or "1e+30" in asked.turns[1].text


def test_a_repair_shows_the_answer_and_what_is_wrong_with_it() -> None:
    again = ask_again(prompt(), "wrong", "it is not JSON")
    assert [(turn.role, turn.text) for turn in again.turns[-2:]] == [
        ("assistant", "wrong"),
        (
            "user",
            "That does not fit what was asked for: it is not JSON. "
            "Answer again with the corrected JSON and nothing else.",
        ),
    ]


def collected(*events: Event) -> Collected:
    return Collected(list(events))


def test_the_collected_answer_is_one_text_out_of_its_fence() -> None:
    answer = collected(Reasoning((b"Hm",)), Text((b"```json\\n{}",)), Text((b"\\n```",)), Finish("stop", Usage(1, 2)))
    assert answer.text == "{}"
    assert answer.events() == [Reasoning((b"Hm",)), Text((b"{}",)), Finish("stop", Usage(1, 2))]
    assert answer.reason_against(checker({"type": "object"})) is None


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_is_what_it_is(reason: Any) -> None:
    assert collected(Text((b"{",)), Finish(reason)).reason_against(checker(PERSON)) is None


def test_an_answer_that_calls_a_tool_is_what_it_is() -> None:
    call = ToolCall(0, "c", "look", "{}")
    assert collected(Text((b"I look.",)), call, Finish("tool_calls")).reason_against(checker(PERSON)) is None


def test_a_repair_counts_what_it_repairs() -> None:
    details = {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}, "total_tokens": 9, "vendor": "x"}
    more = {"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 3}, "total_tokens": 12, "extra_tokens": 1}
    first = collected(Text((b"{",)), Finish("stop", Usage(5, 4, 1, 2, reported=details)))

    def after(usage: Usage | None) -> Usage | None:
        return Collected([Text((b"{}",)), Finish("stop", usage)], first).usage

    summed = {"prompt_tokens": 13, "prompt_tokens_details": {"cached_tokens": 5}, "total_tokens": 21}
    both = after(Usage(8, 4, 0, 3, reported=more))
    assert both == Usage(13, 8, 1, 5, reported={**summed, "vendor": "x", "extra_tokens": 1})
    assert after(Usage(8, 4, estimated=True)) == Usage(13, 8, 1, 2, estimated=True), "half of the details are none"
    assert after(None) == first.usage
    assert Collected([Finish("stop", Usage(1, 1))], collected(Finish("stop"))).usage == Usage(1, 1)


@pytest.mark.anyio
async def test_collecting_closes_what_it_reads() -> None:
    closed = False

    async def answer() -> AsyncGenerator[list[Event], None]:
        nonlocal closed
        try:
            yield [Text((b"{",))]
            yield [Text((b"}",)), Finish("stop")]
        finally:
            closed = True

    assert (await collect(answer())).text == "{}"
    assert closed


@pytest.mark.parametrize(
    "reference",
    [
        "https://json.schemastore.org/package",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "other.json",
        "//x.org/a",
        "#anchor",
        "urn:example:a",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_no_reference_leads_out_of_the_schema(reference: str, keyword: str) -> None:
    told = refusal({"properties": {"a": {keyword: reference}}}).message
    assert reference in told


def test_a_dialect_that_nobody_knows_is_not_fetched() -> None:
    refusal({"$schema": "http://x.example/schema"})
    refusal({"$id": "http://x.example/a", "properties": {"a": {"$id": "http://y.example/b", "$ref": "#/a"}}})


def test_references_inside_are_followed() -> None:
    schema = {"$defs": {"a/b c": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a~1b%20c"}}}
    assert checker(schema).reason_against('{"x": "y"}') is None
    assert checker(schema).reason_against('{"x": 1}') is not None


def test_names_that_look_like_keywords_are_names() -> None:
    schema = {"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}, "default": {"$ref": "#/$defs/a"}}}
    found = checker({**schema, "$defs": {"a": {"const": {"$ref": "https://x.example"}}}})
    assert found.reason_against('{"$ref": "a", "$id": "b", "default": {"$ref": "https://x.example"}}') is None
    assert found.reason_against('{"default": 1}') is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": []},
        {"pattern": "("},
        {"pattern": "(((a{1000}){1000}){1000})"},
        {"$ref": "#/nowhere"},
        {"required": "name"},
        {"minimum": "1"},
    ],
)
def test_a_schema_that_is_none_is_refused_with_its_member(schema: dict[str, Any]) -> None:
    assert refusal(schema).message.startswith("The schema cannot be used: ")


def doubling(levels: int, keyword: str = "anyOf") -> dict[str, Any]:
    """A schema of a few lines that is 2 to the power of `levels` once it is written out."""
    shelves = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**shelves, f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


RECURSIVE = {
    "anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"items": {"$ref": "#"}, "minItems": 1}, {"type": "string"}]
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
        }
    },
    "$ref": "#/$defs/node",
}
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "doubled ten times": (doubling(10), "1"),
    "doubled eleven times, all of them": (doubling(11, "allOf"), "1"),
    "doubled a hundred times": (doubling(100), "1"),
    "a chain of 3,000 references": (
        {"$defs": {f"d{i}": {"items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(3000)}, "$ref": "#/$defs/d0"},
        "[]",
    ),
    "nested 100 times": (nested(100), "[" * 100 + "1" + "]" * 100),
    "nested 190 times": (nested(190), "[" * 190 + "1" + "]" * 190),
    "branching with every level of the answer": (RECURSIVE, "[" * 500 + "1" + "]" * 500),
    "into itself at once": ({"$ref": "#"}, "1"),
    "into itself and not": ({"not": {"$ref": "#"}}, "1"),
    "into itself twice": ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "1"),
    "two into each other": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "1",
    ),
    "wide, and an answer that is long and wrong": (
        {"items": {"allOf": [{"minLength": 3}] * 2000}},
        "[" + ",".join(['"ab"'] * 5000) + "]",
    ),
    "many choices, and an answer that is long and wrong": (
        {"items": {"anyOf": [{"minLength": 3}] * 2000}},
        "[" + ",".join(['"ab"'] * 5000) + "]",
    ),
    "many choices, each of them wrong about all of a long answer": (
        {"anyOf": [{"items": {"minLength": 3}}] * 500},
        "[" + ",".join(['"ab"'] * 3000) + "]",
    ),
    "a pattern that backtracks": ({"pattern": "^(a+)+$"}, '"' + "a" * 100_000 + '!"'),
    "64 large patterns": ({"allOf": [{"pattern": rf"\p{{L}}{{1,20}}{i}"} for i in range(64)]}, '"x"'),
    "a pattern that looks around and back": ({"pattern": r"^(?=(a+)+$)(a*)*\2b"}, '"' + "a" * 300_000 + '"'),
    "64 such patterns": (
        {"allOf": [{"pattern": rf"^(?=(a+)+$)(a*)*\2{i}"} for i in range(64)]},
        '"' + "a" * 4_500 + '"',
    ),
    "such a pattern for each of many": (
        {"items": {"pattern": r"^(?=(a+)+$)(a*)*\2b"}},
        "[" + ",".join(['"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"'] * 4500) + "]",
    ),
    "65 patterns": ({"$defs": {str(i): {"pattern": "a"} for i in range(65)}}, '"x"'),
    "65 patterns for names": ({"patternProperties": {f"a{i}": {} for i in range(65)}}, '"x"'),
    "19,000 choices": ({"enum": [str(i) for i in range(19_000)]}, '"x"'),
    "30,000 choices": ({"enum": [str(i) for i in range(30_000)]}, '"x"'),
    "larger than 256 KiB": ({"description": "x" * 300_000}, "1"),
    "numbers of thirty digits": ({"maximum": 10**30, "multipleOf": 10**-30}, "1"),
    "unique items": ({"uniqueItems": True}, "[" + ",".join([f'{{"a":{i}}}' for i in range(50_000)]) + "]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_schema_takes_long(name: str) -> None:
    schema, answer = HOSTILE[name]
    began = time.thread_time()
    with suppress(Refusal):
        checker(schema).reason_against(answer)
    assert time.thread_time() - began < SPARE_SECONDS


@pytest.mark.parametrize("name", ["doubled a hundred times", "65 patterns", "30,000 choices", "larger than 256 KiB"])
def test_what_is_too_much_is_refused_before_it_is_done(name: str) -> None:
    refusal(HOSTILE[name][0])


def test_a_tree_of_any_depth_can_be_checked() -> None:
    found = checker(TREE)
    deep = '{"value": 1, "children": [' * 100 + '{"value": 2}' + "]}" * 100
    assert found.reason_against(deep) is None
    assert found.reason_against(deep.replace("2", '"two"')) == MISFIT


DECIMAL = {"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}
"""As Pydantic writes it for a decimal number."""


def test_patterns_that_look_around_are_checked_in_bounds() -> None:
    found = checker({"type": "object", "properties": {"price": DECIMAL}})
    assert found.reason_against('{"price": "12.50"}') is None
    assert found.reason_against('{"price": "-"}') is not None
    assert found.reason_against('{"price": "%s"}' % ("1" * 400_000)) == TOO_MUCH


def test_an_answer_without_end_is_not_checked() -> None:
    schema = Schema({"items": {"allOf": [{"minLength": 1}] * 5000}})
    assert schema.reason_against(["a"], 20_000) == TOO_MUCH


def test_size_grows_with_parts_and_with_length() -> None:
    assert size_of("1") == 1
    assert size_of("[1,2,{}]") == 5
    assert size_of("x" * 1600) == 101


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
KEYWORDS = [
    "type",
    "enum",
    "const",
    "properties",
    "items",
    "anyOf",
    "allOf",
    "not",
    "$ref",
    "required",
    "minimum",
    "$defs",
    "$id",
]
SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {}, optional={"type": st.sampled_from(["string", "object", "array", "integer"]), "const": JSON}
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "$defs": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "$ref": st.sampled_from(["#", "#/$defs/a", "#/properties/b", "#/anyOf/0", "#/nowhere"]),
        },
    ),
    max_leaves=5,
)


@given(SCHEMAS | st.dictionaries(st.sampled_from(KEYWORDS), JSON, max_size=4), JSON)
@settings(max_examples=500, deadline=None)
def test_any_schema_is_used_or_refused(schema: dict[str, Any], value: Any) -> None:
    with suppress(Refusal):
        assert Schema(schema).reason_against(value, 5) != ""


def test_escaped_text_comes_back_as_it_was() -> None:
    said = '{"name": "Ünï\\n\\u00e9 🙂"}'
    assert collected(Text((escape(said),)), Finish("stop")).text == said
