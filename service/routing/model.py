"""What is known of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Parameter:
    """A custom parameter that a model declares: its JSON Schema, as Poe states it."""

    name: str
    schema: Mapping[str, Any]
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalogue, corrected by models.toml.

    `id` is lower case, `name` is Poe's display name. `created` is in seconds. `refuses` names request fields that the
    model's REST endpoint answers with 400. `tools_wire` is the wire on which tool calls work (None: whichever the
    model takes) and `tools_stream` whether they survive streaming there. `slow`: answers may take many minutes.
    `replaces`: the bot rewrites its text while it works, so it is held back until it is final. `signatures`: it
    refuses tool calls that come back without their signature (`Call.opaque`). `thoughts_required`: while it thinks it
    wants its earlier thoughts back with its tool calls, which neither wire can do. `endpoints` is empty where Poe lists
    none, which means chat; a path that is none of the known ones stands as it is, without `/v1/`.
    """

    id: str
    name: str
    created: int = 0
    owned_by: str = ""
    description: str = ""
    input_modalities: frozenset[str] = frozenset({"text"})
    output_modalities: frozenset[str] = frozenset({"text"})
    endpoints: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    context_length: int | None = None
    max_output_tokens: int | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    tools_wire: Literal["bot", "chat"] | None = None
    tools_stream: bool = True
    slow: bool = False
    replaces: bool = False
    signatures: bool = False
    thoughts_required: bool = False

    @property
    def makes_text(self) -> bool:
        """Whether the answer is text and can be streamed as it comes; media are asked for whole on `chat`."""
        return "text" in self.output_modalities
