"""What a sandbox model is asked, in the same words whichever wire the question came in on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """An attachment: `kind` is image, audio, video or file; `size` in bytes, None where the sandbox fetches nothing."""

    kind: str
    name: str
    content_type: str
    size: int | None


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A tool call of an earlier turn, as the caller gave it back. `signature` is Gemini's, if it came along."""

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class AskTurn:
    """One message. `call_id` and `name` say, on a tool's turn, which call it answers."""

    role: Role
    text: str = ""
    files: tuple[ReceivedFile, ...] = ()
    calls: tuple[AskedCall, ...] = ()
    call_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A function that may be called; `parameters` is its JSON Schema, unchanged."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to one model.

    `tool_choice` is `auto`, `none`, `required` or the name of a tool in `forced_tool`. `schema` is the JSON Schema of
    `response_format`, `wants_json` says that any JSON object will do. `parameters` are the model's own parameters.
    """

    turns: tuple[AskTurn, ...]
    tools: tuple[OfferedTool, ...] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    forced_tool: str | None = None
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    wants_json: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None

    @property
    def text(self) -> str:
        """The last user message's text."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def files(self) -> tuple[ReceivedFile, ...]:
        """All attachments of the conversation, oldest first."""
        return tuple(file for turn in self.turns for file in turn.files)

    @property
    def results(self) -> tuple[AskTurn, ...]:
        """The tool results at the end of the conversation; empty where its last word is somebody else's."""
        tail: list[AskTurn] = []
        for turn in reversed(self.turns):
            if turn.role != "tool":
                break
            tail.append(turn)
        return tuple(reversed(tail))
