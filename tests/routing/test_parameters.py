"""Lifting: each request takes to each model what the model declares, and tells what was left behind."""

from __future__ import annotations

from time import thread_time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Refusal
from service.prompt import Prompt, TextPart, Thinking, Turn
from service.routing.catalogue import Catalogue
from service.routing.model import Model, Parameter
from service.routing.parameters import MAX_DROPPED, MAX_UNDECLARED, Lifted, lift
from service.routing.route import WireName
from service.routing.thinking import CONTROLS

WIRES: tuple[WireName, ...] = ("chat", "bot")
EMPTY_LIFT_SECONDS = 10e-6
"""Measured: 0.4 µs."""

USER = Turn("user", (TextPart("Hello"),))
TOOL = Turn("tool", (TextPart("42"),), call_id="call_1")


def ask(thinking: Thinking | None = None, /, *turns: Turn, **parameters: Any) -> Prompt:
    return Prompt("m", turns or (USER,), thinking=thinking, parameters=parameters)


def model(id_: str = "m", **schemas: dict[str, Any]) -> Model:
    return Model(id=id_, name=id_, parameters={name: Parameter(name, schema) for name, schema in schemas.items()})


GPT = model(
    reasoning_effort={"enum": ["low", "medium", "high"]},
    web_search={"type": "boolean"},
    verbosity={"enum": ["low", "high"]},
    seed={"type": "string"},
)
CLAUDE = model(thinking_budget={"type": "number", "minimum": 0, "maximum": 31999})
OPUS = model(output_effort={"enum": ["low", "high"]})
PLAIN = model()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("known", [GPT, PLAIN, None])
def test_a_prompt_without_options_takes_nothing(known: Model | None, wire: WireName) -> None:
    assert lift(ask(), known, wire) == Lifted({}, ())


def test_what_is_lifted_belongs_to_the_one_who_asked() -> None:
    lift(ask(), GPT, "chat").parameters["mine"] = 1
    assert lift(ask(), GPT, "chat").parameters == {}


@pytest.mark.parametrize(
    ("known", "prompt", "sent", "dropped"),
    [
        (GPT, ask(Thinking(effort="high")), {"reasoning_effort": "high"}, ()),
        (CLAUDE, ask(Thinking(effort="low")), {"thinking_budget": 4096}, ()),
        (PLAIN, ask(Thinking(effort="high")), {}, ("reasoning_effort",)),
        (PLAIN, ask(Thinking(None, 5, True)), {}, ("thinking_budget", "enable_thinking")),
        (GPT, ask(verbosity="HIGH", seed=42), {"verbosity": "high", "seed": "42"}, ()),
        (GPT, ask(aspect="1:1", verbosity="low", foo=None), {"verbosity": "low"}, ("aspect",)),
        (GPT, ask(web_search_options={}), {"web_search": True}, ()),
        (GPT, ask(web_search_options={}, web_search=False), {"web_search": False}, ()),
        (GPT, ask(web_search=False, web_search_options={}), {"web_search": False}, ()),
        (model(enable_web_search={"type": "boolean"}), ask(web_search_options={}), {"enable_web_search": True}, ()),
        (PLAIN, ask(web_search_options={}), {}, ("web_search_options",)),
        (GPT, ask(reasoning_effort="xhigh"), {"reasoning_effort": "high"}, ()),
        (GPT, ask(reasoning={"effort": "low"}), {"reasoning_effort": "low"}, ()),
        (GPT, ask(reasoning={"max_tokens": 9000}), {"reasoning_effort": "medium"}, ()),
        (GPT, ask(reasoning={"summary": "auto"}), {}, ("reasoning",)),
        (CLAUDE, ask(thinking={"type": "enabled", "budget_tokens": 8000}), {"thinking_budget": 8000}, ()),
        (CLAUDE, ask(thinking={"type": "disabled"}), {"thinking_budget": 0}, ()),
        (CLAUDE, ask(thinking_budget="99999"), {"thinking_budget": 31999}, ()),
        (CLAUDE, ask(enable_thinking=False), {"thinking_budget": 0}, ()),
        (CLAUDE, ask(enable_thinking="on"), {"thinking_budget": 8192}, ()),
        (GPT, ask(output_effort="high", thinking_budget=0), {"reasoning_effort": "high"}, ()),
        (GPT, ask(deep_thinking=True), {"reasoning_effort": "medium"}, ()),
        (GPT, ask(Thinking(effort="low"), reasoning_effort="high"), {"reasoning_effort": "low"}, ()),
        (OPUS, ask(Thinking(effort="low"), output_effort="high"), {"output_effort": "high"}, ()),
        (PLAIN, ask(thinking_level="high"), {}, ("thinking_level",)),
        (model(thinking={"enum": ["auto", "enabled"]}), ask(thinking="auto"), {"thinking": "auto"}, ()),
    ],
)
@pytest.mark.parametrize("wire", WIRES)
def test_options_become_what_the_model_declares(
    known: Model, prompt: Prompt, sent: dict[str, Any], dropped: tuple[str, ...], wire: WireName
) -> None:
    assert lift(prompt, known, wire) == Lifted(sent, dropped)


@pytest.mark.parametrize(
    ("known", "prompt", "param"),
    [
        (GPT, ask(verbosity="loud"), "verbosity"),
        (model(output_effort={"enum": ["low"]}), ask(output_effort="max"), "output_effort"),
        (CLAUDE, ask(thinking_budget="plenty"), "thinking_budget"),
        (GPT, ask(reasoning_effort=["high"]), "reasoning_effort"),
    ],
)
def test_a_declared_parameter_with_an_impossible_value_is_a_400(known: Model, prompt: Prompt, param: str) -> None:
    with pytest.raises(Refusal) as caught:
        lift(prompt, known, "chat")
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_the_model_refused_before_is_left_out_and_told() -> None:
    prompt = ask(Thinking(effort="high"), verbosity="low", web_search_options={})
    lifted = lift(prompt, GPT, "chat", frozenset({"reasoning_effort", "verbosity"}))
    assert lifted == Lifted({"web_search": True}, ("verbosity", "reasoning_effort"))
    assert lift(ask(a=1, b=2), None, "bot", frozenset({"a", "z"})) == Lifted({"b": 2}, ("a",))


def test_a_control_that_was_refused_makes_room_for_another() -> None:
    both = model(reasoning_effort={"enum": ["high"]}, enable_thinking={"type": "boolean"})
    lifted = lift(ask(Thinking(effort="high")), both, "chat", frozenset({"reasoning_effort"}))
    assert lifted == Lifted({"enable_thinking": True}, ())


def test_what_the_endpoint_refuses_is_left_out_on_chat_alone() -> None:
    stubborn = Model(id="m", name="m", parameters=GPT.parameters, refuses=frozenset({"seed"}))
    assert lift(ask(seed=1), stubborn, "chat") == Lifted({}, ("seed",))
    assert lift(ask(seed=1), stubborn, "bot") == Lifted({"seed": "1"}, ())


@pytest.mark.parametrize("wire", WIRES)
def test_claude_does_not_think_while_it_goes_on_after_tool_results(wire: WireName) -> None:
    claude = Model(id="c", name="c", parameters=CLAUDE.parameters, thoughts_required=True)
    assert lift(ask(Thinking(effort="low"), USER, TOOL), claude, wire) == Lifted(
        {"thinking_budget": 0}, ("reasoning_effort",)
    )
    assert lift(ask(Thinking(effort="low"), USER, TOOL, USER), claude, wire).parameters == {"thinking_budget": 4096}
    assert lift(ask(Thinking(effort="low"), USER, TOOL), CLAUDE, wire).parameters == {"thinking_budget": 4096}


def test_an_unknown_bot_gets_everything() -> None:
    prompt = ask(Thinking("high", 5000, True), aspect="16:9", nested={"a": [1]}, nothing=None)
    assert lift(prompt, None, "bot") == Lifted(
        {"reasoning_effort": "high", "thinking_budget": 5000, "aspect": "16:9", "nested": {"a": [1]}}, ()
    )
    assert lift(ask(Thinking(enabled=True)), None, "bot").parameters == {"enable_thinking": True}
    assert lift(ask(web_search_options={}), None, "bot").parameters == {"web_search": True}


def test_an_unknown_name_on_chat_gets_what_that_wire_takes_from_everybody() -> None:
    prompt = ask(Thinking(effort="high", budget_tokens=5), aspect="16:9")
    assert lift(prompt, None, "chat") == Lifted({"reasoning_effort": "high"}, ("thinking_budget", "aspect"))


@pytest.mark.parametrize(
    "parameters",
    [
        {f"p{number}": 1 for number in range(MAX_UNDECLARED + 1)},
        {"x" * 65: 1},
        {"big": "x" * 20_000},
        {f"p{number}": "x" * 1000 for number in range(20)},
        {"big": 10**400},
    ],
)
def test_what_an_unknown_bot_gets_is_bounded(parameters: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        lift(ask(**parameters), None, "bot")
    assert caught.value.status == 400
    assert caught.value.param
    assert len(caught.value.param) <= 64


def test_what_is_told_to_be_dropped_is_bounded() -> None:
    lifted = lift(ask(**{f"{number}" * 100: 1 for number in range(1000)}), PLAIN, "chat")
    assert len(lifted.dropped) == MAX_DROPPED
    assert all(len(name) <= 64 for name in lifted.dropped)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=5,
)
OPTIONS = st.dictionaries(
    st.sampled_from([*sorted(CONTROLS), "reasoning", "thinking", "web_search_options", "web_search", "seed", "foo"])
    | st.text(max_size=10),
    JSON | st.sampled_from(["high", "none", "on", {"effort": "low"}, {"type": "enabled", "budget_tokens": 3}]),
    max_size=6,
)
THINKING = st.builds(
    Thinking,
    st.none() | st.text(max_size=8) | st.sampled_from(["none", "high", "max"]),
    st.none() | st.integers(),
    st.none() | st.booleans(),
)
SNAPSHOT = Catalogue()
KNOWN = st.none() | st.sampled_from(SNAPSHOT.models()) | st.just(GPT)


@settings(max_examples=300, deadline=None)
@given(KNOWN, st.sampled_from(WIRES), st.none() | THINKING, OPTIONS)
def test_nothing_undeclared_reaches_a_known_model(
    known: Model | None, wire: WireName, thinking: Thinking | None, options: dict[str, Any]
) -> None:
    found = attempt(ask(thinking, **options), known, wire)
    if isinstance(found, Refusal):
        assert found.status == 400
        assert found.param is not None
        return
    if known is not None:
        assert found.parameters.keys() <= known.parameters.keys() - (known.refuses if wire == "chat" else set())
    orjson.dumps(found.parameters)
    assert len(set(found.dropped)) == len(found.dropped)


def attempt(prompt: Prompt, known: Model | None, wire: WireName) -> Lifted | Refusal:
    try:
        return lift(prompt, known, wire)
    except Refusal as refused:
        return refused


ASKED = [
    *[Thinking(effort=effort) for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")],
    *[Thinking(budget_tokens=tokens) for tokens in (0, 1, 5000, 10**9)],
    *[Thinking(enabled=True), Thinking(enabled=False)],
]


@pytest.mark.parametrize("source", ["bundled", "recorded"])
@pytest.mark.parametrize("thinking", ASKED, ids=str)
def test_every_model_gets_values_that_its_schema_allows(
    source: str, thinking: Thinking, request: pytest.FixtureRequest
) -> None:
    catalogue = SNAPSHOT if source == "bundled" else request.getfixturevalue("recorded")
    thinkers = 0
    for known in catalogue.models():
        controls = known.parameters.keys() & CONTROLS
        lifted = lift(ask(thinking), known, "chat")
        assert bool(lifted.parameters) == bool(controls), known.id
        assert bool(lifted.dropped) != bool(controls), known.id
        thinkers += bool(controls)
        for name, value in lifted.parameters.items():
            schema = known.parameters[name].schema
            assert value in schema.get("enum", [value]), known.id
            assert schema.get("minimum", 0) <= value if schema.get("type") == "number" else True
            assert value <= schema.get("maximum", value) if schema.get("type") == "number" else True
    assert thinkers > 50


def test_every_default_of_the_recording_is_a_value_that_is_taken(recorded: Catalogue) -> None:
    for known in recorded.models():
        for name, parameter in known.parameters.items():
            if parameter.default is not None:
                lifted = lift(ask(**{name: parameter.default}), known, "bot")
                assert lifted.dropped == (), (known.id, name)
                assert name in lifted.parameters, (known.id, name)


def test_a_prompt_without_options_costs_next_to_nothing() -> None:
    prompt = ask()
    times = []
    for _ in range(5):
        start = thread_time()
        for _ in range(1000):
            lift(prompt, GPT, "chat")
        times.append((thread_time() - start) / 1000)
    assert min(times) < EMPTY_LIFT_SECONDS
