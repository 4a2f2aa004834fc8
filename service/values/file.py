"""The TOML file of `CONFIG_FILE`: settings in lower case, and the tables `[fallbacks]` and `[models."NAME"]`.

Everything here raises `ValueError` with one line; `service.settings` says where it came from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from service.values import units

LARGEST_BYTES = 1 << 20

Fallbacks = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverride:
    """What the table `[models."NAME"]` says of one model; None where it says nothing. Timeouts are in seconds."""

    wire: Literal["bot", "chat"] | None = None
    first_event_timeout: float | None = None
    answer_timeout: float | None = None


_MODEL_READERS = {
    "wire": units.one_of(("bot", "chat")),
    "first_event_timeout": units.seconds,
    "answer_timeout": units.seconds,
}


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read: plain settings as the text an environment variable would hold, and the tables."""

    texts: Mapping[str, str]
    fallbacks: Fallbacks | None
    models: Mapping[str, ModelOverride]


def read_file(path: str, *, names: Collection[str], secrets: Collection[str]) -> ConfigFile:
    """The file at `path`, which may set any of `names` but none of `secrets`."""
    document = _document(Path(path))
    tables: dict[str, Any] = {"fallbacks": None, "models": {}}
    texts: dict[str, str] = {}
    for key, value in document.items():
        if key in secrets:
            raise ValueError(f"`{key}` is a secret, which no file should hold; set {key.upper()} in the environment")
        if key == "models" or (key == "fallbacks" and isinstance(value, dict)):
            tables[key] = value
        elif key in names:
            texts[key] = _as_text(key, value)
        else:
            raise ValueError(f"`{key}` is no setting{_near(key, [*names, 'models'])}")
    fallbacks = None if tables["fallbacks"] is None else _fallbacks_table(tables["fallbacks"])
    return ConfigFile(texts, fallbacks, _models_table(tables["models"]))


def read_fallbacks(text: str) -> Fallbacks:
    """The pairs of `model=other|third,model2=other`."""
    listed = units.items(re.sub(r"\s*([=|])\s*", r"\1", text))
    return _fallbacks((model, others.split("|")) for model, _, others in (item.partition("=") for item in listed))


def _fallbacks(pairs: Any) -> Fallbacks:
    found: dict[str, tuple[str, ...]] = {}
    for model, others in pairs:
        if not model or not all(isinstance(other, str) and other.strip() and "=" not in other for other in others):
            raise ValueError("is not written as model=other|third,model2=other")
        if model.lower() in found:
            raise ValueError(f"{units.quoted(model)} is there twice")
        if model.lower() in (other.lower() for other in others):
            raise ValueError(f"{units.quoted(model)} falls back on itself")
        found[model.lower()] = tuple(others)
    return MappingProxyType(found)


def _fallbacks_table(table: Mapping[str, Any]) -> Fallbacks:
    for model, others in table.items():
        if not isinstance(others, list) or not others:
            raise ValueError(f'`fallbacks.{model}` is not written as ["other", "third"]')
    try:
        return _fallbacks(table.items())
    except ValueError as problem:
        raise ValueError(f"`fallbacks` {problem}") from None


def _models_table(table: Any) -> Mapping[str, ModelOverride]:
    if not isinstance(table, dict):
        raise ValueError('`models` is no table like [models."NAME"]')
    overrides: dict[str, ModelOverride] = {}
    for model, members in table.items():
        if not isinstance(members, dict):
            raise ValueError(f'`models.{model}` is no table like [models."{model}"]')
        if model.lower() in overrides:
            raise ValueError(f"`models.{model}` is there twice")
        read_members = {key: _model_member(model, key, value) for key, value in members.items()}
        overrides[model.lower()] = ModelOverride(**read_members)
    return MappingProxyType(overrides)


def _model_member(model: str, key: str, value: Any) -> Any:
    name = f"models.{model}.{key}"
    if key not in _MODEL_READERS:
        raise ValueError(f"`{name}` is no setting{_near(key, _MODEL_READERS)}")
    try:
        return _MODEL_READERS[key](_as_text(name, value))
    except ValueError as problem:
        raise ValueError(f"`{name}`: {problem}") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as problem:
        raise ValueError(f"cannot be read: {getattr(problem, 'strerror', None) or 'no such path'}") from None
    if len(raw) > LARGEST_BYTES:
        raise ValueError(f"is larger than {LARGEST_BYTES} bytes")
    try:
        return tomllib.loads(raw.decode())
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ValueError(f"is not TOML: {' '.join(str(problem).split())}") from None


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if isinstance(value, str):
        return value.strip()
    raise ValueError(f"`{name}` is neither a text, a number, a switch nor a list of texts")


def _near(key: str, names: Collection[str]) -> str:
    near = get_close_matches(key.lower(), names, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
