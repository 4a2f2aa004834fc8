"""A body that does not fit the contract: one sentence that names the member, in the words of its path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from service.contract.body import read
from service.errors import Refusal

Request = TypeVar("Request", bound=BaseModel)
MAX_PARAM = 256
NOT_JSON = "The body is not valid JSON."
SAYINGS = {"n": "only one answer is given to a request: leave `n` out, or set it to 1"}


def parse(model: type[Request], body: bytes) -> Request:
    """The body as a model of the contract; raises the 400."""
    try:
        return read(model, body)
    except ValidationError as error:
        raise refusal_of(error, body) from None
    except ValueError:
        raise Refusal(400, NOT_JSON) from None


def refusal_of(error: ValidationError, body: bytes) -> Refusal:
    """What the caller is told. Nothing of the body is repeated but names of its members."""
    problems = error.errors(include_url=False, include_context=True, include_input=False)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Refusal(400, NOT_JSON)
    if any(problem["type"] == "json_invalid" for problem in problems):
        return Refusal(400, NOT_JSON)
    found = [(_path(problem, value), problem) for problem in problems]
    deepest = max([path for path, _ in found], key=len)
    param = _param(deepest)
    said = SAYINGS.get(param) or " or ".join(dict.fromkeys([_said(each) for path, each in found if path == deepest]))
    said = f"{param}: {said}" if param else f"The body: {said}"
    return Refusal(400, said[:500], param=param or None)


def _said(problem: Any) -> str:
    """What is wrong, in words that do not speak of how it was found."""
    match problem["type"]:
        case "union_tag_not_found":
            return "Field required"
        case "union_tag_invalid":
            return f"Input should be one of {problem['ctx']['expected_tags']}"
        case "model_type" | "model_attributes_type":
            return "Input should be an object"
    return str(problem["msg"])


def _path(problem: Any, value: Any) -> list[str | int]:
    """The steps of the problem's location that exist in the body: the rest are names of alternatives."""
    path: list[str | int] = []
    *steps, last = problem["loc"] or (None,)
    for step in steps:
        if _leads_on(value, step):
            value = value[step]
            path.append(step)
    if last is not None and (_leads_on(value, last) or problem["type"] == "missing"):
        path.append(last)
    if problem["type"].startswith("union_tag"):
        path.append(str(problem["ctx"]["discriminator"]).strip("'"))
    return path


def _leads_on(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _param(path: Sequence[str | int]) -> str:
    text = "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]).lstrip(".")
    return text.encode("utf-8", "replace").decode()[:MAX_PARAM]
