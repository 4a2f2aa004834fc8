"""One operation of the contract, as the route table lists it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Operation:
    """What `openapi.yaml` says of one operation.

    `path` is a template without a prefix. `security` names the schemes of which one must be met, empty for an open
    operation. `answers` maps each status to the media types of its body, none where it has no body.
    """

    id: str
    method: str
    path: str
    security: tuple[str, ...]
    request_model: type[BaseModel] | None
    answers: Mapping[int, tuple[str, ...]]
