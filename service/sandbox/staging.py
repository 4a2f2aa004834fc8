"""From a question to the performance of its answer."""

from __future__ import annotations

from service.sandbox.answer import trim
from service.sandbox.ask import Ask
from service.sandbox.models.model import SandboxModel
from service.sandbox.models.special import healthy
from service.sandbox.performance import Performance
from service.sandbox.state import Sandbox


def stage(sandbox: Sandbox, ask: Ask, model: SandboxModel) -> Performance:
    """What `model` will answer, cut to the caller's limits; a fault that is used up does not happen again."""
    answer = model.answer(ask, model)
    if answer.fault is not None and not sandbox.fault_due(ask.text, answer.fault.times):
        answer = healthy(ask)
    return Performance(
        trim(answer, ask),
        first_word_seconds=sandbox.first_word_seconds,
        word_seconds=sandbox.word_seconds,
    )
