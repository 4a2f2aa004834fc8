"""Turns of a conversation, put into the order that every provider takes.

Programs resend histories that were edited, cut or interrupted. Every call is followed by one result: the first that
names it, wherever it stood behind it, or a word that there is none. A result whose call is gone becomes plain words of
the user, so that nothing is lost.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from service.contract import models
from service.contract.members import given
from service.dialects.chat.content import parts_of
from service.prompt import Call, Part, TextPart, Turn
from service.writing import as_json

CUSTOM_INPUT = "input"
"""The one parameter of the function that stands in for a tool of plain text."""
NO_RESULT = "There is no result: the call was interrupted."
PLAIN = frozenset({"role", "content", "name"})
"""Members of a turn of the assistant that only says something."""
ORPHANED = "Result of an earlier tool call:\n"


def turns_of(messages: list[Any]) -> tuple[Turn, ...]:
    """The turns that the messages say."""
    reader = _Reader()
    for message in messages:
        reader.add(message)
    return tuple(_in_order(reader.turns) if reader.has_tools else reader.turns)


class _Reader:
    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.has_tools = False
        self._legacy_calls = 0

    def add(self, message: Any) -> None:
        name = given(message.name) or ""
        content = message.content
        parts = (TextPart(content),) if type(content) is str and content else parts_of(content)
        kind = type(message)  # conversations are long, and this is several times as fast as matching classes
        if kind is models.UserMessage:
            self.turns.append(Turn("user", parts, (), "", name))
        elif kind is models.AssistantMessage:
            self._add_assistant(message, parts, name)
        elif kind is models.ToolMessage:
            self._add_result(parts, message.tool_call_id)
        elif kind is models.FunctionMessage:
            self._add_result(parts, f"call_legacy_{self._legacy_calls}")
        else:
            self.turns.append(Turn("system", parts, name=name))

    def _add_assistant(self, message: models.AssistantMessage, parts: tuple[Part, ...], name: str) -> None:
        if PLAIN.issuperset(message.model_fields_set):
            self.turns.append(Turn("assistant", parts, name=name))
            return
        refusal = given(message.refusal)
        if refusal:
            parts = (*parts, TextPart(refusal))
        calls = tuple([_call(call) for call in given(message.tool_calls) or ()])
        legacy = given(message.function_call)
        if legacy is not None:
            self._legacy_calls += 1  # the older form has no ids: a result answers the call before it
            calls = (*calls, Call(f"call_legacy_{self._legacy_calls}", legacy.name, legacy.arguments))
        self.has_tools = self.has_tools or bool(calls)
        self.turns.append(Turn("assistant", parts, calls=calls, name=name))

    def _add_result(self, parts: tuple[Part, ...], call_id: str) -> None:
        self.has_tools = True
        self.turns.append(Turn("tool", parts, call_id=call_id))


def _call(call: Any) -> Call:
    opaque = given(call.extra_content)
    if isinstance(call, models.CustomToolCall):
        arguments = as_json({CUSTOM_INPUT: call.custom.input}).decode()
        return Call(call.id, call.custom.name, arguments, opaque)
    return Call(call.id, call.function.name, call.function.arguments, opaque)


class _Answered:
    """A turn that is no result, and a place for the result of each of its calls."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.results: list[Turn | None] = [None] * len(turn.calls)

    def turns(self) -> list[Turn]:
        missing = [Turn("tool", (TextPart(NO_RESULT),), call_id=call.id) for call in self.turn.calls]
        return [self.turn, *[result or none for result, none in zip(self.results, missing, strict=True)]]


def _in_order(turns: list[Turn]) -> list[Turn]:
    """One pass: a result belongs to the nearest call before it that has its id and waits; more of them are dropped."""
    out: list[_Answered] = []
    waiting: dict[str, deque[tuple[_Answered, int]]] = {}
    for turn in turns:
        if turn.role != "tool":
            answered = _Answered(turn)
            out.append(answered)
            waiting.update({call.id: deque() for call in turn.calls})
            for place, call in enumerate(turn.calls):
                waiting[call.id].append((answered, place))
        elif turn.call_id not in waiting:
            out.append(_Answered(Turn("user", (TextPart(ORPHANED), *turn.parts))))
        elif waiting[turn.call_id]:
            asked, place = waiting[turn.call_id].popleft()
            asked.results[place] = turn
    return [turn for answered in out for turn in answered.turns()]
