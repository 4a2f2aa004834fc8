"""One model of the sandbox: what its catalogue entry says, how it behaves on the wires, and what answers for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.sandbox.answer import Answer
from service.sandbox.ask import Ask

CallIds = Literal["digits", "openai", "anthropic", "gemini", "kimi"]


@dataclass(frozen=True, slots=True)
class SandboxModel:
    """`name` is the display name, its lower case the id; the host's name is `owner`.

    What the catalogue says: modalities, `features`, `endpoints` (paths), `parameters` (Poe's objects), `pricing`,
    `context` (length, most output tokens), `reasoning`.
    How it behaves: `call_ids` is the style of its tool-call ids; `provider` set makes chat answer in the strict shape
    under that name; `takes_tools` False refuses tools on chat and ignores them on the bot wire; `streams_tools` False
    ends a chat stream with tools silently; `signs_calls` demands its thought signature back; `on_chat` False is
    a bot that chat completions does not serve; `json_text` answers a tools request on the bot wire with content deltas
    in json events; `detailed_usage` adds the token details of OpenAI's models; `honours_format` follows
    `response_format` on chat. `created` is in milliseconds.
    """

    name: str
    answer: Callable[[Ask, SandboxModel], Answer]
    owner: str = "Sandbox"
    description: str = ""
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    features: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ("/v1/chat/completions",)
    parameters: tuple[Mapping[str, Any], ...] = ()
    pricing: Mapping[str, str | None] | None = None
    context: tuple[int, int | None] | None = (128_000, None)
    reasoning: Mapping[str, Any] | None = None
    created: int = 1_774_569_600_000
    call_ids: CallIds = "digits"
    provider: str | None = None
    takes_tools: bool = True
    streams_tools: bool = True
    signs_calls: bool = False
    on_chat: bool = True
    json_text: bool = False
    detailed_usage: bool = False
    honours_format: bool = False
    greets: bool = False
    thinking: Callable[[Mapping[str, Any]], bool] = field(default=lambda parameters: False, repr=False)

    @property
    def id(self) -> str:
        """The catalogue's id."""
        return self.name.lower()

    @property
    def refuses(self) -> frozenset[str]:
        """Fields that chat completions answers with 400 for this model (poe.md 8.4: OpenAI's and stream_options)."""
        return frozenset({"stream_options"}) if self.owner == "OpenAI" else frozenset()

    def listing(self) -> dict[str, Any]:
        """The entry of `/v1/models` (poe.md 4.7)."""
        modality = f"{','.join(self.input_modalities)}->{','.join(self.output_modalities)}"
        length, most = self.context or (None, None)
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "description": self.description,
            "owned_by": self.owner,
            "root": self.id,
            "architecture": {
                "input_modalities": list(self.input_modalities),
                "output_modalities": list(self.output_modalities),
                "modality": modality,
            },
            "supported_features": list(self.features),
            "supported_endpoints": list(self.endpoints),
            "pricing": None if self.pricing is None else dict(self.pricing),
            "context_window": None if length is None else {"context_length": length, "max_output_tokens": most},
            "context_length": length,
            "metadata": {
                "display_name": self.name,
                "image": {
                    "url": "https://example.com/sandbox.jpeg",
                    "alt": f"{self.name} model icon",
                    "width": 200,
                    "height": 200,
                },
                "url": f"https://poe.com/{self.id}",
            },
            "reasoning": None if self.reasoning is None else dict(self.reasoning),
            "parameters": [dict(parameter) for parameter in self.parameters],
        }
