"""Models with a habit of their own: failing as told, a bot that somebody made, and one that rewrites itself."""

from __future__ import annotations

from service.sandbox.answer import Answer, FinishReason, Rewrite, Say, Suggest, Wait, say
from service.sandbox.ask import Ask
from service.sandbox.fault import parse_fault, split_fault
from service.sandbox.models.model import SandboxModel

EXTENDS = "extend"
"""This word in the prompt makes the rewriting bot keep what it said and only add to it."""

_EMPTY_FINISHES: dict[str, FinishReason] = {"empty": "stop", "length": "length", "filter": "content_filter"}


def failing(ask: Ask, model: SandboxModel) -> Answer:
    """Fails as the prompt's first line says (`fault`); the lines below it are what it says."""
    words, text = split_fault(ask.text)
    if words is None:
        return say("Tell me how to fail, for example: fail: cut after 5")
    try:
        fault = parse_fault(words)
    except ValueError as problem:
        return say(f"I do not know how to do that: {problem}")
    if fault.verb in _EMPTY_FINISHES:
        return Answer((), finish=_EMPTY_FINISHES[fault.verb], fault=fault)
    return Answer((Say(text),), fault=fault)


def healthy(ask: Ask) -> Answer:
    """The failing model's answer once its fault is used up."""
    return say(split_fault(ask.text)[1])


def made_by_somebody(ask: Ask, model: SandboxModel) -> Answer:
    """A server bot with all its trimmings: a greeting in text, and buttons to go on."""
    return Answer((Say(f"You said: {ask.text}"), Suggest("Tell me more"), Suggest("Say it again")))


def rewriter(ask: Ask, model: SandboxModel) -> Answer:
    """Says a first draft, then replaces it: by a longer one if the prompt says `extend`, else by another one."""
    draft = "A first draft"
    final = f"{draft}, and then: {ask.text}" if EXTENDS in ask.text else f"A second thought: {ask.text}"
    return Answer((Say(draft), Wait(0.02), Rewrite(final)))
