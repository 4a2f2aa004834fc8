"""The model that answers JSON, and gets it wrong when the prompt asks for that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.sandbox.answer import Answer, say
from service.sandbox.ask import Ask
from service.sandbox.models.model import SandboxModel
from service.sandbox.sampling import sample
from service.sandbox.text import compact_json

CLUMSY = "clumsy"
"""This word in the prompt makes the first answer wrong; told so, the model repairs it."""
HOPELESS = "hopeless"
"""This word makes every answer wrong."""

WRONG = 'Sure! Here is your JSON: {"wrong": '
_SCHEMA_WORDS = frozenset({"type", "properties", "$ref", "$defs", "anyOf", "oneOf", "allOf", "enum", "const", "items"})


def structured(ask: Ask, model: SandboxModel) -> Answer:
    """JSON sampled from the schema of `response_format`, else from the last schema in the conversation's text."""
    prompt = next((turn.text for turn in ask.turns if turn.role == "user"), "")
    if HOPELESS in prompt or (CLUMSY in prompt and not _told(ask)):
        return say(WRONG)
    schema = ask.schema if ask.schema is not None else _schema_in(ask)
    return say(compact_json({"text": prompt} if schema is None else sample(schema, prompt)))


def _told(ask: Ask) -> bool:
    """Whether the conversation already holds the wrong answer, as a turn or as a quotation."""
    return any(turn.role == "assistant" or WRONG.strip() in turn.text for turn in ask.turns)


def _schema_in(ask: Ask) -> Mapping[str, Any] | None:
    """The last JSON object in the text that looks like a schema: on the bot wire there is no other way to send one."""
    for turn in reversed(ask.turns):
        found = [candidate for candidate in _objects(turn.text) if _SCHEMA_WORDS & candidate.keys()]
        if found:
            return found[-1]
    return None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)
