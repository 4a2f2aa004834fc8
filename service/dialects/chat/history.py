"""Turns of a conversation, put into the order that every provider takes.

Programs resend histories that were edited, cut or interrupted. Results stand right behind the calls that they answer,
one result for each call; a result whose call is gone becomes plain words of the user, so that nothing is lost.
"""

from __future__ import annotations

from typing import Any

import orjson

from service.contract import models
from service.contract.members import given
from service.dialects.chat.content import parts_of
from service.prompt import Call, Part, TextPart, Turn

CUSTOM_INPUT = "input"
"""The one parameter of the function that stands in for a tool of plain text."""


def turns_of(messages: list[Any]) -> tuple[Turn, ...]:
    """The turns that the messages say."""
    reader = _Reader()
    for message in messages:
        reader.add(message)
    return tuple(_in_order(reader.turns))


class _Reader:
    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._legacy_calls = 0

    def add(self, message: Any) -> None:
        name = given(message.name) or ""
        parts = parts_of(message.content)
        match message:
            case models.SystemMessage() | models.DeveloperMessage():
                self.turns.append(Turn("system", parts, name=name))
            case models.UserMessage():
                self.turns.append(Turn("user", parts, name=name))
            case models.AssistantMessage():
                self._add_assistant(message, parts, name)
            case models.ToolMessage():
                self.turns.append(Turn("tool", parts, call_id=message.tool_call_id))
            case models.FunctionMessage():
                self.turns.append(Turn("tool", parts, call_id=f"call_legacy_{self._legacy_calls}"))

    def _add_assistant(self, message: models.AssistantMessage, parts: tuple[Part, ...], name: str) -> None:
        refusal = given(message.refusal)
        if refusal:
            parts = (*parts, TextPart(refusal))
        calls = tuple([_call(call) for call in given(message.tool_calls) or ()])
        legacy = given(message.function_call)
        if legacy is not None:
            self._legacy_calls += 1  # the older form has no ids: a result answers the call before it
            calls = (*calls, Call(f"call_legacy_{self._legacy_calls}", legacy.name, legacy.arguments))
        self.turns.append(Turn("assistant", parts, calls=calls, name=name))


def _call(call: Any) -> Call:
    opaque = given(call.extra_content)
    if isinstance(call, models.CustomToolCall):
        arguments = orjson.dumps({CUSTOM_INPUT: call.custom.input}).decode()
        return Call(call.id, call.custom.name, arguments, opaque)
    return Call(call.id, call.function.name, call.function.arguments, opaque)


def _in_order(turns: list[Turn]) -> list[Turn]:
    if not any(turn.role == "tool" for turn in turns):
        return turns
    results: dict[str, list[tuple[int, Turn]]] = {}
    for place, turn in enumerate(turns):
        if turn.role == "tool":
            results.setdefault(turn.call_id, []).append((place, turn))
    out: list[Turn] = []
    for place, turn in enumerate(turns):
        if turn.role != "tool":
            out.append(turn)
            out += [_take(results, call.id, after=place) for call in turn.calls if _waits(results, call.id, place)]
        elif any(place == at for at, _ in results.get(turn.call_id, ())) and not _answered_before(turns, place):
            out.append(_orphan(turn))
    return out


def _waits(results: dict[str, list[tuple[int, Turn]]], call_id: str, after: int) -> bool:
    return any(at > after for at, _ in results.get(call_id, ()))


def _take(results: dict[str, list[tuple[int, Turn]]], call_id: str, *, after: int) -> Turn:
    waiting = results[call_id]
    first = next(i for i, (at, _) in enumerate(waiting) if at > after)
    return waiting.pop(first)[1]


def _answered_before(turns: list[Turn], place: int) -> bool:
    """Whether a call of this id stands earlier: then the result is a repetition of one that was taken."""
    call_id = turns[place].call_id
    return any(call.id == call_id for turn in turns[:place] for call in turn.calls)


def _orphan(turn: Turn) -> Turn:
    return Turn("user", (TextPart("Result of an earlier tool call:\n"), *turn.parts))
