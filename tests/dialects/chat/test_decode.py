"""What a caller sends becomes the prompt that it means."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.validation import parse
from service.contract.models import ChatCompletionRequest
from service.dialects.chat.decode import CUSTOM, IGNORED, decode
from service.dialects.chat.options import Options
from service.errors import Refusal
from service.prompt import OutputFormat, Prompt, Sampling, Thinking
from tests.contract.bodies import EVERYTHING


def read(**members: Any) -> tuple[Prompt, Options]:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    return decode(ChatCompletionRequest.model_validate(body))


def prompt(**members: Any) -> Prompt:
    return read(**members)[0]


def options(**members: Any) -> Options:
    return read(**members)[1]


def test_a_bare_request_asks_for_nothing_more() -> None:
    found, how = read()
    assert found == Prompt(model="m", turns=found.turns)
    assert how == Options()


def test_null_is_as_good_as_nothing() -> None:
    nulls = {name: None for name in ChatCompletionRequest.model_fields if name not in ("model", "messages")}
    assert read(**nulls) == read()


def test_everything_at_once_can_be_read() -> None:
    found, how = decode(ChatCompletionRequest.model_validate({**EVERYTHING, "tool_choice": "auto"}))
    assert found.model == "Claude-Sonnet-4.6"
    assert found.fallbacks == ("gpt-5.2", "gemini-2.5-pro")
    assert found.max_tokens == 200, "the newer name wins"
    assert set(how.ignored) <= set(IGNORED)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_either_name_limits_the_answer(name: str) -> None:
    assert prompt(**{name: 7}).max_tokens == 7


def test_sampling_is_taken_as_it_is() -> None:
    found = prompt(temperature=0, top_p=0.5, logprobs=True, top_logprobs=3).sampling
    assert found == Sampling(0, 0.5, True, 3)
    assert prompt(logprobs=False, top_logprobs=0).sampling == Sampling()


@pytest.mark.parametrize(
    ("sent", "meant"), [("a", ("a",)), (["a", "b"], ("a", "b")), (["", "a"], ("a",)), ([], ()), ("", ())]
)
def test_stop_is_always_several(sent: Any, meant: tuple[str, ...]) -> None:
    assert prompt(stop=sent).stop == meant


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"reasoning_effort": "high"}, Thinking(effort="high")),
        ({"reasoning": {"effort": "low"}}, Thinking(effort="low")),
        ({"reasoning": {"max_tokens": 9}}, Thinking(budget_tokens=9)),
        ({"reasoning": {"enabled": False}}, Thinking(enabled=False)),
        ({"reasoning": {"exclude": True}}, None),
        ({"reasoning": {}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, Thinking(budget_tokens=9, enabled=True)),
        ({"thinking": {"type": "adaptive"}}, Thinking(enabled=True)),
        ({"thinking": {"type": "disabled"}}, Thinking(enabled=False)),
        ({"thinking_budget": 5}, Thinking(budget_tokens=5)),
        ({"thinking_budget": 0}, Thinking(budget_tokens=0)),
        ({"thinking_budget": -1}, None),
        ({"thinking_budget": -1, "enable_thinking": True}, Thinking(enabled=True)),
        ({"enable_thinking": True}, Thinking(enabled=True)),
        ({"reasoning_effort": "", "reasoning": {"effort": ""}}, None),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low", "max_tokens": 3}}, Thinking("high", 3)),
        ({"thinking_budget": 4, "thinking": {"budget_tokens": 5, "type": "enabled"}}, Thinking(None, 4, True)),
    ],
)
def test_every_way_to_ask_for_thought_is_one_wish(sent: dict[str, Any], meant: Thinking | None) -> None:
    assert prompt(**sent).thinking == meant


def test_thoughts_can_be_kept_from_the_answer() -> None:
    assert options(reasoning={"exclude": True}).hide_reasoning
    assert not options(reasoning={"exclude": False, "effort": "low"}).hide_reasoning


def test_fallbacks_are_tried_once_each() -> None:
    assert prompt(models=["a", "m", "b", "a"]).fallbacks == ("a", "b")


def test_a_choice_of_parallel_calls_needs_tools() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    assert prompt(parallel_tool_calls=False).parallel_tool_calls is None
    assert prompt(parallel_tool_calls=False, tools=[tool]).parallel_tool_calls is False


def test_formats_are_read() -> None:
    assert prompt(response_format={"type": "text"}).output_format is None
    assert prompt(response_format={"type": "json_object"}).output_format == OutputFormat("json_object")
    described = {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True}
    found = prompt(response_format={"type": "json_schema", "json_schema": described}).output_format
    assert found == OutputFormat("json_schema", "n", {"description": "d", "type": "object"})
    bare = prompt(response_format={"type": "json_schema", "json_schema": {"name": "n"}}).output_format
    assert bare == OutputFormat("json_schema", "n", {})


def test_the_schemas_own_description_wins() -> None:
    described = {"name": "n", "description": "outer", "schema": {"description": "inner"}}
    found = prompt(response_format={"type": "json_schema", "json_schema": described}).output_format
    assert found is not None
    assert found.schema == {"description": "inner"}


@pytest.mark.parametrize("modalities", [["image"], ["text", "audio"], ["video"]])
def test_naming_a_medium_asks_for_parts(modalities: list[str]) -> None:
    found, how = read(modalities=modalities)
    assert found.media_as_parts
    assert how.media_as_parts


def test_text_asks_for_no_parts() -> None:
    assert not prompt(modalities=["text"]).media_as_parts
    assert not prompt(modalities=[]).media_as_parts


def test_usage_of_a_stream_is_asked_for_by_name() -> None:
    assert options(stream_options={"include_usage": True}).include_usage
    assert not options(stream_options={"include_usage": False, "include_obfuscation": True}).include_usage


def test_unknown_members_are_the_models_parameters() -> None:
    assert prompt(aspect_ratio="16:9", seed=1, verbosity="low").parameters == {
        "aspect_ratio": "16:9",
        "seed": 1,
        "verbosity": "low",
    }


PRIVATE = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier")


@pytest.mark.parametrize("name", PRIVATE)
def test_who_asks_is_told_as_ignored_and_never_sent(name: str) -> None:
    found, how = read(**{name: "ann"})
    assert found.parameters == {}
    assert how.ignored == (name,)


@pytest.mark.parametrize(
    "sent",
    [
        {"presence_penalty": 0},
        {"frequency_penalty": 0.0},
        {"store": False},
        {"service_tier": "auto"},
        {"logit_bias": {}},
        {"metadata": {}},
    ],
)
def test_asking_for_what_happens_anyway_is_nothing_to_tell(sent: dict[str, Any]) -> None:
    assert options(**sent).ignored == ()


def test_sound_is_a_models_parameter_where_it_is_a_switch() -> None:
    found, how = read(audio=False)
    assert (found.parameters, how.ignored) == ({"audio": False}, ())
    found, how = read(audio={"voice": "alloy", "format": "mp3"})
    assert (found.parameters, how.ignored) == ({}, ("audio",))


def test_members_that_are_special_are_members_of_the_contract() -> None:
    assert {*CUSTOM, *IGNORED} <= ChatCompletionRequest.model_fields.keys()


def test_more_than_one_answer_is_refused_by_name() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":2}'
    with pytest.raises(Refusal) as caught:
        decode(parse(ChatCompletionRequest, body))
    assert (caught.value.status, caught.value.param) == (400, "n")
    assert "one answer" in caught.value.message
