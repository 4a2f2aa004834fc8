"""models.toml: what is known of models beyond Poe's own list, read once and applied to each model."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import translate
from pathlib import Path
from typing import Any

from service.routing.model import Model

FILE = Path(__file__).with_name("models.toml")

CONDITIONS = frozenset({"ids", "not_ids", "owners", "media"})
LISTS = frozenset({"refuses", "add_outputs", "drop_features"})
VALUES: Mapping[str, type | tuple[str, ...]] = {
    "tools_wire": ("bot", "chat"),
    "tools_stream": bool,
    "slow": bool,
    "replaces": bool,
    "signatures": bool,
    "thoughts_required": bool,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`: which models, and what of them. Conditions are None where the rule has none."""

    ids: re.Pattern[str] | None
    not_ids: re.Pattern[str] | None
    owners: frozenset[str] | None
    media: bool
    lists: Mapping[str, frozenset[str]]
    values: Mapping[str, Any]

    def fits(self, model: Model, outputs: frozenset[str]) -> bool:
        """Whether the rule speaks of this model; `outputs` are its output modalities as corrected so far."""
        if self.owners is not None and model.owned_by not in self.owners:
            return False
        if self.ids is not None and not self.ids.match(model.id):
            return False
        if self.not_ids is not None and self.not_ids.match(model.id):
            return False
        return not (self.media and "text" in outputs)


@dataclass(frozen=True, slots=True)
class Corrections:
    """The whole file. `aliases` maps a spelling to a model's id."""

    rules: tuple[Rule, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    def apply(self, model: Model) -> Model:
        """The model as it really is."""
        changes: dict[str, Any] = {}
        for rule in self.rules:
            if rule.fits(model, changes.get("output_modalities", model.output_modalities)):
                changes.update(rule.values)
                for name, words in rule.lists.items():
                    _merge(changes, model, name, words)
        return replace(model, **changes) if changes else model


def pattern(globs: Iterable[str]) -> re.Pattern[str]:
    """Matches what any of the globs (`*`, `?`) matches, from its first letter to its last; nothing for none."""
    return re.compile("|".join(map(translate, globs)) or r"(?!)")


def _merge(changes: dict[str, Any], model: Model, name: str, words: frozenset[str]) -> None:
    if name == "refuses":
        changes["refuses"] = changes.get("refuses", model.refuses) | words
    elif name == "add_outputs":
        changes["output_modalities"] = changes.get("output_modalities", model.output_modalities) | words
    else:
        changes["features"] = changes.get("features", model.features) - words


def load(text: str | None = None) -> Corrections:
    """Read models.toml, or `text` in its place. ValueError names what is wrong with which rule."""
    data = tomllib.loads(FILE.read_text("utf-8") if text is None else text)
    unknown = data.keys() - {"aliases", "rule"}
    if unknown:
        raise ValueError(f"models.toml: unknown table {min(unknown)!r}")
    return Corrections(tuple(map(_rule, data.get("rule", []))), data.get("aliases", {}))


def _rule(raw: Mapping[str, Any]) -> Rule:
    unknown = raw.keys() - CONDITIONS - LISTS - VALUES.keys() - {"why"}
    if unknown or not raw.get("why"):
        raise ValueError(f"models.toml: {min(unknown) if unknown else 'no why'!r} in the rule {dict(raw)!r}")
    for name, allowed in VALUES.items():
        value = raw.get(name)
        fine = value in allowed if isinstance(allowed, tuple) else isinstance(value, allowed)
        if name in raw and not fine:
            raise ValueError(f"models.toml: {name} = {value!r}")
    owners = raw.get("owners")
    return Rule(
        pattern(raw["ids"]) if "ids" in raw else None,
        pattern(raw["not_ids"]) if "not_ids" in raw else None,
        None if owners is None else frozenset(owners),
        bool(raw.get("media")),
        {name: frozenset(raw[name]) for name in LISTS & raw.keys()},
        {name: raw[name] for name in VALUES.keys() & raw.keys()},
    )
