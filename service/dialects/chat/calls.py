"""Tool calls as the caller defined its tools: functions, tools of plain text, or the older `functions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from service.dialects.chat.history import CUSTOM_INPUT
from service.dialects.chat.options import Options
from service.events import ToolCall


class CallWriter:
    """Writes the deltas of a stream's tool calls.

    The input of a plain-text tool comes wrapped in JSON, which cannot be unwrapped before it is whole: such a call is
    written at the end, by `flush`, and so are the calls behind it, since programs rely on their order.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._held: dict[int, list[ToolCall]] = {}
        self._first_held: int | None = None

    def feed(self, call: ToolCall) -> list[dict[str, Any]]:
        """The deltas for one event."""
        if self._first_held is None and call.name in self._options.custom_tools:
            self._first_held = call.index
        if self._first_held is not None and call.index >= self._first_held:
            self._held.setdefault(call.index, []).append(call)
            return []
        if self._options.legacy_functions:
            return [{"function_call": _function(call)}] if call.index == 0 else []
        delta: dict[str, Any] = {"index": call.index, "function": _function(call)}
        if call.name is not None:
            delta |= {"id": call.id, "type": "function"}
        if call.opaque:
            delta["extra_content"] = call.opaque
        return [{"tool_calls": [delta]}]

    def flush(self) -> list[dict[str, Any]]:
        """The deltas of the calls that were held back."""
        held, self._held = self._held, {}
        return [{"tool_calls": [{"index": index, **whole_call(held[index], self._options)}]} for index in sorted(held)]


def _function(call: ToolCall) -> dict[str, str]:
    if call.name is None:
        return {"arguments": call.arguments}
    return {"name": call.name, "arguments": call.arguments}


def whole_call(deltas: Sequence[ToolCall], options: Options) -> dict[str, Any]:
    """One call, folded from its deltas."""
    name = next((delta.name for delta in deltas if delta.name is not None), "")
    arguments = "".join([delta.arguments for delta in deltas])
    if options.legacy_functions:
        return {"name": name, "arguments": arguments}
    call: dict[str, Any] = {"id": deltas[0].id}
    if name in options.custom_tools:
        call |= {"type": "custom", "custom": {"name": name, "input": _unwrapped(arguments)}}
    else:
        call |= {"type": "function", "function": {"name": name, "arguments": arguments}}
    opaque = next((delta.opaque for delta in reversed(deltas) if delta.opaque), None)
    if opaque:
        call["extra_content"] = opaque
    return call


def _unwrapped(arguments: str) -> str:
    """The text inside the function's one parameter; what the model wrote where it ignored the schema."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    text = value.get(CUSTOM_INPUT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments
