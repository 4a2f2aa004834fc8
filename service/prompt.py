"""What travels down: a caller's request in neutral words, whatever dialect it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from service.frozen import frozen

Role = Literal["system", "user", "assistant", "tool"]
"""`developer` is decoded as `system`: Poe knows no other name for it."""


@frozen
class TextPart:
    """A piece of plain text."""

    text: str


@frozen
class MediaPart:
    """An image or a file: at a URL, or as bytes.

    Exactly one of `url` and `data` is set. `media_type` is a MIME type, empty where the caller did not say;
    `detail` is OpenAI's word for image resolution (`low`, `high`, `auto`).
    """

    kind: Literal["image", "audio", "video", "file"]
    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    media_type: str = ""
    name: str = ""
    detail: str | None = None


Part = TextPart | MediaPart


@frozen
class Call:
    """A tool call that an assistant turn made earlier: `arguments` is JSON text as the model wrote it.

    `opaque` is what the provider wants back with the call, Gemini's thought signature for one.
    """

    id: str
    name: str
    arguments: str
    opaque: Mapping[str, Any] | None = None


@frozen
class Turn:
    """One message. `calls` only for `assistant`; `call_id` only for `tool`; `name` is the author's, if told."""

    role: Role
    parts: tuple[Part, ...] = ()
    calls: tuple[Call, ...] = ()
    call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """All text parts, one after the other."""
        return "".join([part.text for part in self.parts if isinstance(part, TextPart)])


@frozen
class Tool:
    """A function that the model may call; `parameters` is a JSON Schema, kept as the caller wrote it."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None


@frozen
class OutputFormat:
    """What the whole answer must parse as: any JSON object, or JSON that fits `schema`."""

    kind: Literal["json_object", "json_schema"]
    name: str = ""
    schema: Mapping[str, Any] | None = None


@frozen
class Thinking:
    """How much the caller wants the model to think; members are None where it did not say.

    `effort` is OpenAI's word (`none`, `minimal`, `low`, `medium`, `high`, ...), `budget_tokens` a count,
    `enabled` a plain switch. Routing lifts them to the parameter that the model declares.
    """

    effort: str | None = None
    budget_tokens: int | None = None
    enabled: bool | None = None


@frozen
class Sampling:
    """Knobs of the sampler, None where the caller left them alone."""

    temperature: float | None = None
    top_p: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


@frozen
class Prompt:
    """One request for one answer.

    `model` is the caller's own spelling; `fallbacks` are tried in order after it. `tool_choice` is `auto`, `none`,
    `required` or the name of one of `tools` in `forced_tool`. `max_tokens` counts the answer's tokens. `parameters`
    are top-level members that are no part of the dialect: custom parameters of the bot, or unknown. `session` names
    the conversation, where that is known and matters.
    """

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    fallbacks: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none", "required"] | None = None
    forced_tool: str | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinking: Thinking | None = None
    output_format: OutputFormat | None = None
    media_as_parts: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    session: str = ""
