"""The bundled snapshot: the models of 1 April 2026, so that the first answer never waits for Poe's list.

snapshot.json holds what is known of them without asking: id, host, output modality, endpoints where they are marked,
which take audio or video (not which of the two) and the thinking control of each family. Bounds of a thinking budget
are our own cautious ones. Display names are not known, so `name` is the id; Poe takes it in any case of letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from service.routing.corrections import pattern
from service.routing.model import Model, Parameter

FILE = Path(__file__).with_name("snapshot.json")

MEDIA_INPUT = frozenset({"text", "audio", "video"})
TEXT_INPUT = frozenset({"text"})


def load() -> tuple[Model, ...]:
    """The models of the file, uncorrected."""
    return tuple(_models(orjson.loads(FILE.read_bytes())))


def _models(data: dict[str, Any]) -> Iterator[Model]:
    endpoints = {id_: frozenset(mark["endpoints"]) for mark in data["endpoints"] for id_ in mark["ids"]}
    takes_media = frozenset(data["audio_or_video_input"])
    families = [
        (pattern(family["ids"]), pattern(family["not_ids"]), Parameter(family["parameter"], family["schema"]))
        for family in data["thinking"]
    ]
    for kind, owners in data["models"].items():
        outputs = frozenset(kind.split("+"))
        for owner, ids in owners.items():
            for id_ in ids:
                yield Model(
                    id=id_,
                    name=id_,
                    created=data["seen"],
                    owned_by=owner,
                    input_modalities=MEDIA_INPUT if id_ in takes_media else TEXT_INPUT,
                    output_modalities=outputs,
                    endpoints=endpoints.get(id_, frozenset()),
                    parameters={
                        control.name: control
                        for ids_in, ids_out, control in families
                        if ids_in.match(id_) and not ids_out.match(id_)
                    },
                )
