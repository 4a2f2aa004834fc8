"""The catalogue: which ways lead to a name, what is learned on them, and a new list taking the old one's place."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Refusal
from service.routing import catalogue as module
from service.routing.catalogue import MISSING_SECONDS, RECHECK_SECONDS, Catalogue
from service.routing.corrections import Corrections
from service.routing.model import Model
from service.routing.route import Route, WireName

CHAT: WireName = "chat"
BOT: WireName = "bot"
ROUTES_SECONDS = 10e-6
"""Measured: 0.14 µs."""


def model(id_: str, *endpoints: str, **members: Any) -> Model:
    return Model(id=id_, name=id_.title(), endpoints=frozenset(endpoints), **members)


def catalogue_of(*models: Model, **options: Any) -> Catalogue:
    return Catalogue(models=models, corrections=Corrections(), **options)


def wires(routes: tuple[Route, ...]) -> list[WireName]:
    return [route.wire for route in routes]


def refusal(catalogue: Catalogue, name: str, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        catalogue.routes(name, **options)
    return caught.value


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ((), [CHAT, BOT]),
        (("chat",), [CHAT, BOT]),
        (("messages", "responses", "chat"), [CHAT, BOT]),
        (("responses",), [BOT]),
        (("videos",), [BOT]),
        (("embeddings",), [BOT]),
    ],
)
def test_chat_comes_first_where_the_model_lists_it_or_nothing(endpoints: tuple[str, ...], expected: list[str]) -> None:
    routes = catalogue_of(model("alpha", *endpoints)).routes("ALPHA")
    assert wires(routes) == expected
    assert {route.name for route in routes} == {"Alpha"}
    assert all(route.model is not None and route.model.id == "alpha" for route in routes)


def test_the_wire_on_which_tools_work_comes_first_when_there_are_tools() -> None:
    catalogue = catalogue_of(model("alpha", tools_wire="bot"), model("beta", "chat", tools_wire="chat"))
    assert wires(catalogue.routes("alpha", tools=True)) == [BOT, CHAT]
    assert wires(catalogue.routes("alpha")) == [CHAT, BOT]
    assert wires(catalogue.routes("beta", tools=True)) == [CHAT, BOT]


def test_an_endpoint_that_refuses_tools_is_not_asked_with_tools() -> None:
    catalogue = catalogue_of(model("alpha", refuses=frozenset({"tools"})))
    assert wires(catalogue.routes("alpha", tools=True)) == [BOT]
    assert wires(catalogue.routes("alpha")) == [CHAT, BOT]


@pytest.mark.parametrize("wire", [CHAT, BOT])
def test_a_forced_wire_is_the_only_one(wire: WireName) -> None:
    catalogue = catalogue_of(model("alpha", "responses"))
    assert wires(catalogue.routes("alpha", forced_wire=wire)) == [wire]
    assert wires(catalogue.routes("unheard-of", forced_wire=wire)) == [wire]


def test_the_settings_force_a_wire_under_any_spelling_and_the_caller_overrules_them() -> None:
    catalogue = catalogue_of(model("alpha-2.5"), overrides={"Alpha 2-5": BOT})
    assert wires(catalogue.routes("alpha-2.5")) == [BOT]
    assert wires(catalogue.routes("alpha-2.5", forced_wire=CHAT)) == [CHAT]


def test_a_name_in_the_settings_counts_as_known() -> None:
    catalogue = catalogue_of(model("alpha"), unknown_models="refuse", overrides={"alhpa": None, "other": CHAT})
    assert catalogue.routes("Alhpa") == (Route("bot", "Alhpa"),)
    assert catalogue.routes("Other") == (Route("chat", "Other"),)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("MyBot", "MyBot"),
        (" My Bot 2.0? ", "My Bot 2.0?"),
        ("poe/MyBot", "MyBot"),
        ("anthropic/claude-opus-5", "claude-opus-5"),
        ("gpt-5.9", "gpt-5.9"),
    ],
)
def test_an_unlisted_name_is_tried_as_a_bot(asked: str, sent: str) -> None:
    assert Catalogue().routes(asked) == (Route("bot", sent, None),)


def test_a_near_miss_is_a_404_that_names_what_was_meant() -> None:
    found = refusal(Catalogue(), "claud-sonnet-4.6")
    assert (found.status, found.type, found.code) == (404, "invalid_request_error", "model_not_found")
    assert (found.param, found.should_retry) == ("model", False)
    assert "`claude-sonnet-4.6`" in found.message


def test_who_means_the_bot_of_that_name_can_say_so() -> None:
    assert "x-proxy-wire: bot" in refusal(Catalogue(), "gpt4o").message
    assert Catalogue().routes("gpt4o", forced_wire=BOT) == (Route("bot", "gpt4o"),)


@pytest.mark.parametrize("forced", [None, CHAT, BOT])
def test_unknown_names_are_refused_where_the_settings_say_so(forced: WireName | None) -> None:
    catalogue = Catalogue(unknown_models="refuse")
    found = refusal(catalogue, "claude-opus-5", forced_wire=forced)
    assert (found.status, found.code) == (404, "model_not_found")
    assert "`claude-opus-4.6`" in found.message
    assert catalogue.routes("claude-opus-4.6")


def test_a_slash_that_is_no_vendors_is_a_404() -> None:
    assert refusal(Catalogue(), "acme/thing").code == "model_not_found"


@pytest.mark.parametrize("name", ["", "..", "a\nb", "x" * 201])
def test_what_is_no_name_is_a_404(name: str) -> None:
    assert refusal(Catalogue(), name).status == 404
    assert Catalogue().find(name) is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=220), st.sampled_from([None, CHAT, BOT]), st.booleans())
def test_every_name_has_a_way_or_a_clear_refusal(name: str, forced: WireName | None, tools: bool) -> None:
    found = attempt(name, forced, tools)
    if isinstance(found, Refusal):
        assert found.status == 404
        assert found.param == "model"
        assert len(found.message) < 600
    else:
        assert found
        assert forced is None or wires(found) == [forced]
        assert all(route.name and route.name.isprintable() for route in found)


def attempt(name: str, forced: WireName | None, tools: bool) -> tuple[Route, ...] | Refusal:
    try:
        return SNAPSHOT.routes(name, forced_wire=forced, tools=tools)
    except Refusal as refused:
        return refused


SNAPSHOT = Catalogue()


def test_a_wire_that_does_not_know_the_model_is_left_out_for_an_hour(clock: Any) -> None:
    catalogue = catalogue_of(model("alpha"), model("beta"), clock=clock)
    chat, bot = catalogue.routes("alpha")
    catalogue.learn_missing(chat)
    assert catalogue.routes("alpha") == (bot,)
    assert wires(catalogue.routes("beta")) == [CHAT, BOT]
    clock.now += MISSING_SECONDS - 1
    assert catalogue.routes("alpha", tools=True) == (bot,)
    clock.now += 1
    assert catalogue.routes("alpha") == (chat, bot)


def test_a_name_that_no_wire_knows_is_a_404_and_asked_again_once_a_minute(clock: Any) -> None:
    catalogue = catalogue_of(model("alpha"), clock=clock)
    (bot,) = catalogue.routes("my-new-thing")
    catalogue.learn_missing(bot)
    assert refusal(catalogue, "my-new-thing").code == "model_not_found"
    clock.now += RECHECK_SECONDS
    assert catalogue.routes("my-new-thing") == (bot,)
    catalogue.learn_missing(bot)
    assert refusal(catalogue, "my-new-thing").status == 404


def test_a_model_new_on_the_list_is_asked_for_again(clock: Any) -> None:
    catalogue = catalogue_of(model("alpha"), clock=clock)
    beta = model("beta")
    for wire in (CHAT, BOT):
        catalogue.learn_missing(Route(wire, beta.name, None))
    catalogue.adopt([model("alpha"), beta])
    assert wires(catalogue.routes("beta")) == [CHAT, BOT]


def test_lessons_and_routes_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READY", 3)
    catalogue = catalogue_of(model("alpha"))
    for name in ("alpha", "Alpha", "ALPHA", "aLPHA", "x/alpha"):
        catalogue.routes(name)
        assert len(catalogue._list.ready) <= 3
    for number in range(module.MAX_MISSING + 5):
        catalogue.learn_missing(Route("bot", str(number)))
    assert len(catalogue._missing) == module.MAX_MISSING


def test_a_new_list_takes_the_place_of_the_old_one_at_once(list_of: Callable[..., bytes]) -> None:
    catalogue = Catalogue()
    before = catalogue.routes("claude-sonnet-4.6")
    junk = catalogue.replace(list_of("brand-new-1.0", None, {"id": ""}, "Brand-New-1.0", "gemini-3.1-pro"))
    assert junk == 2
    assert [found.id for found in catalogue.models()] == ["brand-new-1.0", "gemini-3.1-pro"]
    assert catalogue.find("brand new 1-0") is catalogue.models()[0]
    assert catalogue.models()[1].signatures, "corrections are applied to Poe's list too"
    assert catalogue.find("claude-sonnet-4.6") is None
    assert wires(catalogue.routes("claude-sonnet-4.6")) == [BOT], "gone from the list, so no more than a name"
    assert before[0].model is not None
    assert before[0].model.id == "claude-sonnet-4.6", "requests under way keep their model"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data":[]}', b'{"data":[null,{"id":""}]}'])
def test_a_list_without_models_changes_nothing(body: bytes) -> None:
    catalogue = Catalogue()
    with pytest.raises(ValueError):  # noqa: PT011 - orjson words some of them
        catalogue.replace(body)
    assert len(catalogue.models()) == 362


def test_asking_for_an_unknown_name_is_told(list_of: Callable[..., bytes]) -> None:
    catalogue, told = Catalogue(), []
    catalogue.call_on_unknown(lambda: told.append(1))
    catalogue.routes("gpt-5.2")
    assert told == []
    catalogue.routes("brand-new-1.0")
    refusal(catalogue, "gpt4o")
    assert told == [1, 1]


def test_the_404_after_poe_said_no_suggests_related_names() -> None:
    found = SNAPSHOT.not_found("claude-opus-5")
    assert (found.status, found.code) == (404, "model_not_found")
    assert "`claude-opus-4.6`" in found.message


def test_every_recorded_name_leads_to_its_model(recorded: Catalogue) -> None:
    for found in recorded.models():
        dashed = found.id.replace(".", "-")
        for spelling in (found.id, found.name, f"anthropic/{found.id}", dashed, f"{found.id}-latest"):
            assert recorded.find(spelling) is found, spelling
        assert recorded.routes(found.name)[-1] == Route("bot", found.name, found)


@pytest.mark.parametrize("name", ["Claude-Sonnet-4.6", "anthropic/claude-sonnet-4-6-20251001"])
def test_routes_of_a_known_name_cost_next_to_nothing(name: str) -> None:
    SNAPSHOT.routes(name)
    times = []
    for _ in range(5):
        start = thread_time()
        for _ in range(1000):
            SNAPSHOT.routes(name)
        times.append((thread_time() - start) / 1000)
    assert min(times) < ROUTES_SECONDS


@pytest.mark.parametrize("name", ["x" * 100_000, "a\r\nset-cookie: b", "\ud800", ""])
def test_a_404_never_repeats_what_cannot_be_shown(name: str) -> None:
    message = SNAPSHOT.not_found(name).message
    assert message.isprintable()
    assert len(message) < 600
