"""The catalogue: which models there are, and the ways to each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from service.errors import Refusal
from service.routing import corrections as corrections_file
from service.routing import listing, snapshot
from service.routing.corrections import Corrections
from service.routing.memory import Memory
from service.routing.model import Model
from service.routing.names import Names, bare, clean, fold, usable
from service.routing.route import Route, WireName

MISSING_SECONDS = 3600.0
RECHECK_SECONDS = 60.0
"""A name that no wire knew is asked for again after this, since somebody may have just made that bot."""
MAX_MISSING = 4096
MAX_READY = 4096

UnknownModels = Literal["try", "refuse"]


@dataclass(frozen=True, slots=True)
class _List:
    """One list of models with everything derived from it, so that a new list takes its place at once.

    `forced` maps an id, or an unlisted name in its folded spelling, to the operator's wire for it, if any. `ready`
    holds routes by (name, forced wire, tools).
    """

    models: Mapping[str, Model]
    names: Names
    forced: Mapping[str, WireName | None]
    ready: dict[tuple[str, WireName | None, bool], tuple[Route, ...]] = field(default_factory=dict)


class Catalogue:
    """Models by name, and routes to them; starts with the bundled snapshot.

    `overrides` are the names under `[models]` in the settings with the wire that each forces, or None; such names count
    as known, listed or not.
    """

    def __init__(
        self,
        *,
        unknown_models: UnknownModels = "try",
        overrides: Mapping[str, WireName | None] | None = None,
        models: Iterable[Model] | None = None,
        corrections: Corrections | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unknown_models = unknown_models
        self._overrides = overrides or {}
        self._corrections = corrections_file.load() if corrections is None else corrections
        self._missing: Memory[tuple[str, WireName], bool] = Memory(
            ttl_seconds=MISSING_SECONDS, limit=MAX_MISSING, clock=clock
        )
        self._on_unknown: Callable[[], None] = _nothing
        self._list = self._indexed(snapshot.load() if models is None else models)

    def models(self) -> tuple[Model, ...]:
        """Every model, in Poe's order."""
        return tuple(self._list.models.values())

    def find(self, name: str) -> Model | None:
        """The model that a caller's spelling means, or None if there is none or there could be two."""
        current = self._list
        model = current.models.get(name)
        if model is None and usable(name):
            id_ = current.names.find(name)
            model = None if id_ is None else current.models[id_]
        return model

    def routes(self, name: str, *, forced_wire: WireName | None = None, tools: bool = False) -> tuple[Route, ...]:
        """The ways to the model of that name, best first, at least one.

        `forced_wire` is the caller's own wish and goes before the settings'. `tools`: the request has tools. Refusal
        404 for a model that does not exist, is not to be tried, or cannot be called that.
        """
        ready = self._list.ready.get((name, forced_wire, tools))
        return ready or self._work_out(name, forced_wire, tools)

    def learn_missing(self, route: Route) -> None:
        """Remember for an hour that the route's wire knows no such model, or does not serve it."""
        self._missing.put((route.name, route.wire), True)
        self._list.ready.clear()

    def not_found(self, name: str) -> Refusal:
        """The 404 for a model that does not exist, with the names that come nearest."""
        return _not_found(name, self._list.names.related(name))

    def replace(self, poe_list_json: bytes) -> int:
        """Take Poe's list in the place of the one before; how many rows were junk. ValueError: keep the old one."""
        rows = listing.rows(poe_list_json)
        found = self.read(rows)
        self.adopt(found)
        return len(rows) - len(found)

    def read(self, rows: Sequence[Any]) -> list[Model]:
        """The corrected models in rows of Poe's list; junk is left out."""
        return [self._corrections.apply(model) for model in map(listing.model_of, rows) if model is not None]

    def adopt(self, models: Iterable[Model]) -> None:
        """Take these models, already corrected, in the place of those before. ValueError if there are none.

        Requests under way keep what they have. A model that is new on the list is asked for on every wire again.
        """
        fresh = self._indexed(models, corrected=True)
        if not fresh.models:
            raise ValueError("the model list holds no model that can be read")
        for id_ in fresh.models.keys() - self._list.models.keys():
            for route in _ways(fresh.models[id_], tools=False):
                self._missing.forget((route.name, route.wire))
        self._list = fresh

    def call_on_unknown(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, on the event loop, whenever a name is asked for that is not on the list."""
        self._on_unknown = callback

    def _indexed(self, models: Iterable[Model], *, corrected: bool = False) -> _List:
        known: dict[str, Model] = {}
        for model in models:
            known.setdefault(model.id, model if corrected else self._corrections.apply(model))
        names = Names(known, self._corrections.aliases)
        forced = {names.find(name) or fold(name): wire for name, wire in self._overrides.items()}
        return _List(known, names, forced)

    def _work_out(self, name: str, forced_wire: WireName | None, tools: bool) -> tuple[Route, ...]:
        current = self._list
        asked = clean(name)
        model = self.find(asked)
        key = fold(asked) if model is None else model.id
        wire = forced_wire or current.forced.get(key)
        if model is not None:
            ways = _ways(model, tools=tools) if wire is None else (Route(wire, model.name, model),)
        else:
            self._on_unknown()
            ways = (Route(wire or "bot", asked if key in current.forced else self._unlisted(asked, forced_wire)),)
        open_ways = self._open(asked, ways)
        if model is not None and len(open_ways) == len(ways):
            if len(current.ready) >= MAX_READY:
                current.ready.clear()
            current.ready[name, forced_wire, tools] = open_ways
        return open_ways

    def _unlisted(self, name: str, forced_wire: WireName | None) -> str:
        """The name to try for a model that is not on the list, or Refusal 404."""
        names = self._list.names
        plain = bare(name)
        if plain is None or self._unknown_models == "refuse":
            raise _not_found(name, names.related(name))
        if forced_wire is None and (near := names.near(plain)):
            raise _not_found(name, near, "If you mean a bot of exactly that name, send the header `x-proxy-wire: bot`.")
        return plain

    def _open(self, name: str, ways: tuple[Route, ...]) -> tuple[Route, ...]:
        """The ways without a lesson against them; where all have one, those to be asked again."""
        ages = [(way, self._missing.age((way.name, way.wire))) for way in ways]
        found = tuple([way for way, age in ages if age is None])
        found = found or tuple([way for way, age in ages if age is not None and age >= RECHECK_SECONDS])
        if not found:
            raise self.not_found(name)
        return found


def _ways(model: Model, *, tools: bool) -> tuple[Route, ...]:
    """Chat where the model lists it or lists nothing and takes the request, then bot, which takes every name."""
    bot = Route("bot", model.name, model)
    if model.endpoints and "chat" not in model.endpoints:
        return (bot,)
    if tools and "tools" in model.refuses:
        return (bot,)
    chat = Route("chat", model.name, model)
    return (bot, chat) if tools and model.tools_wire == "bot" else (chat, bot)


def _not_found(name: str, suggestions: tuple[str, ...], hint: str = "") -> Refusal:
    meant = f"Did you mean {' or '.join(f'`{id_}`' for id_ in suggestions)}?" if suggestions else ""
    advice = meant or "`GET /v1/models` lists the names."
    which = f"The model `{name}`" if usable(name) else "A model of that name"
    message = " ".join(filter(None, (f"{which} does not exist.", advice, hint)))
    return Refusal(404, message, code="model_not_found", param="model")


def _nothing() -> None:
    """What happens on an unknown name until somebody wants to know."""
