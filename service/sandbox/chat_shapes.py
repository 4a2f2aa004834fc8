"""Chat completions as Poe shapes them: whole answers, chunks, usage (poe.md 4.4, 4.5, 12.3)."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.sandbox.answer import CallTool
from service.sandbox.ask import Ask
from service.sandbox.models.model import SandboxModel
from service.sandbox.tokens import count_tokens


def visible_tokens(ask: Ask) -> int:
    """Prompt tokens as chat completions reports them: text of users and assistants, no system text, no tools."""
    return sum(count_tokens(turn.text) for turn in ask.turns if turn.role in ("user", "assistant"))


@dataclass(slots=True)
class Shapes:
    """The shape of one answer. `asked_name` is the model as the caller wrote it."""

    model: SandboxModel
    asked_name: str
    id: str = field(init=False)
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.id = f"chatcmpl-{uuid.uuid4() if self.strict else secrets.token_hex(12)}"

    @property
    def strict(self) -> bool:
        """Whether the answer has the shape of strict mode: LiteLLM's, under the provider's name."""
        return self.model.provider is not None

    def whole(
        self, content: str, reasoning: str, calls: Sequence[CallTool], finish: str | None, usage: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A chat.completion."""
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if reasoning:
            message |= self.reasoning(reasoning)
        if calls:
            message["tool_calls"] = [tool_call(call) for call in calls]
        if self.strict:
            message |= _strict_message(message, reasoning)
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return self._envelope("chat.completion", [choice], usage)

    def chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        """A chat.completion.chunk; none was ever recorded, so this is OpenAI's shape."""
        return self._envelope("chat.completion.chunk", [{"index": 0, "delta": dict(delta), "finish_reason": finish}])

    def usage_chunk(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The last chunk where usage was asked for."""
        return self._envelope("chat.completion.chunk", [], usage)

    def reasoning(self, text: str) -> dict[str, Any]:
        """Thoughts, under both names; in the strict shape under LiteLLM's only (poe.md 11.6 asks which)."""
        return {"reasoning_content": text} if self.strict else {"reasoning_content": text, "reasoning": text}

    def usage(self, ask: Ask, visible_text: str, thoughts: str) -> dict[str, Any]:
        """Counts of visible text: none for tool calls, none for thoughts."""
        asked, told = visible_tokens(ask), count_tokens(visible_text)
        counts: dict[str, Any] = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
        if self.model.detailed_usage:
            counts["completion_tokens_details"] = {
                "accepted_prediction_tokens": None,
                "audio_tokens": None,
                "reasoning_tokens": 0,
                "rejected_prediction_tokens": None,
            }
            counts["prompt_tokens_details"] = {"audio_tokens": None, "cached_tokens": 0}
        if self.strict:
            counts["completion_tokens_details"] = {"reasoning_tokens": count_tokens(thoughts)}
            counts["prompt_tokens_details"] = {"cached_tokens": 0, "cache_creation_tokens": 0}
            counts |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        return counts

    def _envelope(self, kind: str, choices: list[Any], usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model.provider or self.asked_name,
            "choices": choices,
        }
        if self.strict:
            body["system_fingerprint"] = None
        if usage is not None:
            body["usage"] = dict(usage)
        return body


def tool_call(call: CallTool) -> dict[str, Any]:
    """A tool call, with Gemini's signature where there is one."""
    told: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature is not None:
        told["extra_content"] = {"google": {"thought_signature": call.signature}}
    return told


def tool_deltas(call: CallTool, index: int, fragments: Sequence[str]) -> list[dict[str, Any]]:
    """The deltas of one call: id, type and name once, then the arguments in fragments."""
    first = tool_call(call)
    first["function"]["arguments"] = ""
    rest = [{"index": index, "function": {"arguments": fragment}} for fragment in fragments]
    return [{"tool_calls": [delta]} for delta in ({"index": index, **first}, *rest)]


def _strict_message(message: Mapping[str, Any], reasoning: str) -> dict[str, Any]:
    """The nulls of strict mode. That content is null beside tool calls is LiteLLM's way, and a guess for Poe."""
    blocks = [{"type": "thinking", "thinking": reasoning, "signature": "c2FuZGJveA=="}] if reasoning else None
    calls = message.get("tool_calls")
    return {
        "content": message["content"] or (None if calls else ""),
        "tool_calls": calls,
        "function_call": None,
        "provider_specific_fields": {"citations": None, "thinking_blocks": blocks},
    }
