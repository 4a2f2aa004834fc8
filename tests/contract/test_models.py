"""The generated models and openapi.yaml give the same verdict on whatever body they are shown."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import jsonschema_rs
import orjson
import pytest
from pydantic import MISSING

from service.contract import document
from service.contract.body import read
from service.contract.models import ChatCompletionRequest, UserMessage
from tests.contract.bodies import EVERYTHING, VARIANTS, mutated

MUTATIONS = 8_000
LEAST_SHARE = 0.2


@pytest.fixture(scope="module")
def judge() -> jsonschema_rs.Draft202012Validator:
    """openapi.yaml's own verdict on a request of chat completions."""
    components = orjson.loads(document.as_json())["components"]
    return jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/ChatCompletionRequest", "components": components}
    )


@pytest.mark.parametrize("seed", [1, 20261122, 3])
def test_models_agree_with_the_file_under_mutation(seed: int, judge: jsonschema_rs.Draft202012Validator) -> None:
    chance = random.Random(seed)
    verdicts: Counter[bool] = Counter()
    disputed = []
    for _ in range(MUTATIONS):
        body, deed = mutated(chance)
        said = judge.is_valid(body)
        verdicts[said] += 1
        if _model_takes(body) != said:
            disputed.append(f"the file {'allows' if said else 'forbids'}, the model does not: {deed}")
    assert disputed == []
    assert min(verdicts[True], verdicts[False]) > LEAST_SHARE * MUTATIONS, "the mutations try one side only"


@pytest.mark.parametrize("place", range(1 + len(VARIANTS)))
def test_what_mutations_start_from_is_valid(place: int, judge: jsonschema_rs.Draft202012Validator) -> None:
    body = (EVERYTHING, *VARIANTS)[place]
    judge.validate(body)
    assert _model_takes(body)


def test_mutations_start_from_every_documented_member() -> None:
    request = orjson.loads(document.as_json())["components"]["schemas"]["ChatCompletionRequest"]
    assert set(request["properties"]) <= set(EVERYTHING)


def test_unknown_members_are_kept_on_top_and_ignored_below() -> None:
    message = {"role": "user", "content": "x", "unknown": 1}
    request = _parse({"model": "m", "messages": [message], "aspect_ratio": "16:9"})
    assert request.model_extra == {"aspect_ratio": "16:9"}
    assert isinstance(request.messages[0], UserMessage)
    assert not hasattr(request.messages[0], "unknown")


def test_absent_and_null_are_told_apart() -> None:
    request = _parse({"model": "m", "messages": [{"role": "user", "content": "x"}], "stop": None})
    assert request.stop is None
    assert request.seed is MISSING


def test_a_whole_float_is_an_integer() -> None:
    request = _parse({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 10.0})
    assert request.max_tokens == 10
    assert isinstance(request.max_tokens, int)


def _parse(body: Any) -> ChatCompletionRequest:
    return read(ChatCompletionRequest, orjson.dumps(body))


def _model_takes(body: Any) -> bool:
    try:
        # Python's own json: orjson knows no integers beyond 64 bits.
        read(ChatCompletionRequest, json.dumps(body).encode())
    except ValueError:
        return False
    return True
