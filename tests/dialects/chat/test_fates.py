"""docs/chat-fields.md says what becomes of every field; here each of its rows is tried through the running gateway."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.contract import document
from service.contract.models import ChatCompletionRequest
from service.routing.model import Parameter
from service.stages.schema import PARAM
from tests.dialects.chat.conftest import Talk
from tests.dialects.chat.fates import (
    Fate,
    Proof,
    Trial,
    calls,
    dropped,
    emulated,
    ignored,
    lifted,
    passed,
    refused,
    results,
    tried,
    turns,
    words,
)
from tests.dialects.chat.folding import chunks_of, folded

PAGE = Path(__file__).resolve().parents[3] / "docs" / "chat-fields.md"
WIRES = ("chat", "bot")
UNFORCED = frozenset({"part file at a URL"})
"""Rows that speak of which wire is taken."""
PNG = "data:image/png;base64,iVBORw0KGgo="
TEXT = "data:text/plain;base64,SGVsbG8="
TOOLS = "sandbox-tools"
GPT = "sandbox-gpt-5.2"
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
HEAR = {"type": "function", "function": {"name": "hear", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def says(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"messages": list(messages), **members}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def parts(*found: dict[str, Any]) -> dict[str, Any]:
    return says(user([{"type": "text", "text": "See"}, *found]))


def both(sample: dict[str, Any], fate: Fate, model: str = "sandbox-echo") -> Proof:
    return Proof(sample, fate, fate, model)


def spoken(*expected: tuple[str, str]) -> Fate:
    return passed(lambda sent: words(sent) == list(expected))


def schema_of(**members: Any) -> dict[str, Any]:
    definition = {"name": "person", "schema": SCHEMA, **members}
    return {"response_format": {"type": "json_schema", "json_schema": definition}}


def fits(trial: Trial) -> bool:
    return isinstance(orjson.loads(trial.message["content"]), dict)


def attached(sent: dict[str, Any]) -> bool:
    """Whether the last message holds one attachment, uploaded or inline."""
    last = turns(sent)[-1]
    if "query" in sent:
        return len(last["attachments"]) == 1
    return [part["type"] for part in last["content"]][1:] in (["image_url"], ["file"])


def called(name: str) -> Fate:
    """The model called that tool; only what it was offered, or the choice, can have made it do so."""
    return emulated(lambda trial: [call["function"]["name"] for call in trial.message["tool_calls"]] == [name])


def asked_in_words(sentence: str) -> Fate:
    return emulated(lambda trial: sentence in words(trial.sent or {})[0][1], "tool_choice", "parallel_tool_calls")


def offered(sent: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in sent.get("tools") or ()]


def has(name: str, value: Any) -> Fate:
    return passed(lambda sent: sent.get(name) == value)


NO_TOOLS = emulated(lambda trial: not offered(trial.sent or {}))
LONG = user("speed: 900\n" + "word " * 300)
CUT = emulated(lambda trial: trial.answer["choices"][0]["finish_reason"] == "length", "max_tokens")
USAGE = emulated(lambda trial: trial.answer["usage"]["total_tokens"] > 0)
VISION = "sandbox-vision"
CUSTOM = {"name": "patch", "description": "Edit", "format": {"type": "grammar", "definition": "x"}}
AS_FUNCTION = passed(lambda sent: '"definition":"x"' in sent["tools"][0]["function"]["description"])
NAMED = {"type": "function", "function": {"name": "hear"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [HEAR]}}
TWO = {"tools": [LOOK, HEAR]}
HISTORY = (user("a"), {"role": "assistant", "content": None, "tool_calls": [CALL]})
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
ANSWERED = passed(
    lambda sent: [(each["tool_call_id"], each["content"]) for each in results(sent)] == [("call_1", "42")]
)

REQUEST: dict[str, Proof] = {
    "model": Proof(
        {"model": "SANDBOX-echo"},
        passed(lambda sent: sent["model"] == "Sandbox-Echo"),
        passed(lambda sent: "query" in sent),
    ),
    "models": both(
        {"model": "sandbox-failing", "models": ["sandbox-echo"], **says(user("fail: status 500"))},
        emulated(lambda trial: trial.answer["model"] == "sandbox-echo"),
    ),
    "messages": both(says({"role": "system", "content": "s"}, user("u")), spoken(("system", "s"), ("user", "u"))),
    "stream": Proof(
        {"stream": True},
        has("stream", True),
        emulated(lambda trial: "stream" not in (trial.sent or {}) and len(chunks_of(trial.reply.content)) > 2),
    ),
    "stream_options": Proof(
        {"stream": True, "stream_options": {"include_usage": True}},
        emulated(lambda trial: "stream_options" not in (trial.sent or {}) and trial.answer["usage"]["estimated"]),
        USAGE,
        GPT,
    ),
    "stream_options.include_usage": both({"stream": True, "stream_options": {"include_usage": True}}, USAGE),
    "stream_options.include_obfuscation": both(
        {"stream": True, "stream_options": {"include_obfuscation": True}}, ignored("include_obfuscation")
    ),
    "max_tokens": Proof(says(LONG, max_tokens=30), has("max_tokens", 30), CUT, "sandbox-slow"),
    "max_completion_tokens": Proof(
        says(LONG, max_completion_tokens=30, max_tokens=9), has("max_tokens", 30), CUT, "sandbox-slow"
    ),
    "temperature": both({"temperature": 0.5}, has("temperature", 0.5)),
    "top_p": Proof({"top_p": 0.5}, has("top_p", 0.5), dropped("top_p")),
    "stop": Proof({"stop": "END"}, has("stop", ["END"]), passed(lambda sent: sent["stop_sequences"] == ["END"])),
    "tools": both(TWO, passed(lambda sent: offered(sent) == ["look", "hear"]), TOOLS),
    "tool_choice": Proof({**TWO, "tool_choice": "none"}, has("tool_choice", "none"), NO_TOOLS, TOOLS),
    "parallel_tool_calls": Proof(
        {**TWO, "parallel_tool_calls": False},
        has("parallel_tool_calls", False),
        asked_in_words("at most one function at a time"),
        TOOLS,
    ),
    "response_format": both(schema_of(), emulated(fits), "sandbox-json"),
    "reasoning_effort": both({"reasoning_effort": "high"}, lifted("reasoning_effort", reasoning_effort="high"), GPT),
    "reasoning": both({"reasoning": {"max_tokens": 4096}}, lifted("thinking_budget", reasoning_effort="low"), GPT),
    "reasoning.exclude": both(
        {"reasoning": {"exclude": True}}, emulated(lambda trial: "reasoning" not in trial.message), "sandbox-reasoner"
    ),
    "thinking": both(
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        lifted("thinking_budget", thinking_budget=2000),
        "sandbox-haiku-4.5",
    ),
    "thinking_budget": both(
        {"thinking_budget": 99}, lifted("thinking_budget", thinking_budget=99), "sandbox-haiku-4.5"
    ),
    "enable_thinking": both(
        {"enable_thinking": True}, lifted("enable_thinking", enable_thinking=True), "sandbox-kimi-k2.5"
    ),
    "modalities": both(
        {"modalities": ["text", "image"]},
        emulated(lambda trial: trial.message["content"][0]["type"] == "image_url"),
        "sandbox-image",
    ),
    "n": both({"n": 2}, refused("n")),
    "logprobs": Proof({"logprobs": True}, has("logprobs", True), dropped("logprobs")),
    "top_logprobs": Proof({"top_logprobs": 3}, has("top_logprobs", 3), dropped("top_logprobs")),
    "presence_penalty": both({"presence_penalty": 1}, dropped("presence_penalty")),
    "frequency_penalty": both({"frequency_penalty": -1}, dropped("frequency_penalty")),
    "logit_bias": both({"logit_bias": {"1": 5}}, dropped("logit_bias")),
    "seed": both({"seed": 7}, lifted("seed", seed=7), TOOLS),
    "verbosity": both({"verbosity": "medium"}, lifted("verbosity", verbosity="medium"), GPT),
    "web_search_options": both(
        {"web_search_options": {"search_context_size": "low"}}, lifted("web_search_options", web_search=True), GPT
    ),
    "audio": both({"audio": {"voice": "alloy", "format": "mp3"}}, dropped("audio")),
    "audio, a boolean": both({"audio": False}, lifted("audio", audio=False), TOOLS),
    "prediction": both({"prediction": {"type": "content", "content": "x"}}, dropped("prediction")),
    "metadata": both({"metadata": {"a": "b"}}, dropped("metadata")),
    "store": both({"store": True}, dropped("store")),
    "service_tier": both({"service_tier": "flex"}, dropped("service_tier")),
    "user": both({"user": "ann"}, dropped("user")),
    "safety_identifier": both({"safety_identifier": "ann"}, dropped("safety_identifier")),
    "prompt_cache_key": both({"prompt_cache_key": "ann"}, dropped("prompt_cache_key")),
    "prompt_cache_retention": both({"prompt_cache_retention": "24h"}, dropped("prompt_cache_retention")),
    "functions": both({"functions": [LOOK["function"]]}, passed(lambda sent: offered(sent) == ["look"]), TOOLS),
    "function_call": Proof(
        {"functions": [LOOK["function"]], "function_call": "none"}, has("tool_choice", "none"), NO_TOOLS, TOOLS
    ),
    "any other": both({"aspect_ratio": "16:9"}, lifted("aspect_ratio", aspect_ratio="16:9"), "sandbox-image"),
}

MESSAGES: dict[str, Proof] = {
    "role system": both(says({"role": "system", "content": "s"}, user("u")), spoken(("system", "s"), ("user", "u"))),
    "role developer": both(
        says({"role": "developer", "content": "s"}, user("u")), spoken(("system", "s"), ("user", "u"))
    ),
    "role user": both(says(user("u")), spoken(("user", "u"))),
    "role assistant": both(
        says(user("u"), {"role": "assistant", "content": "a"}, user("v")),
        spoken(("user", "u"), ("assistant", "a"), ("user", "v")),
    ),
    "role tool": both(says(*HISTORY, RESULT), ANSWERED, TOOLS),
    "role function": both(
        says(
            user("a"),
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "42"},
        ),
        passed(lambda sent: [each["content"] for each in results(sent)] == ["42"]),
        TOOLS,
    ),
    "content as a string": both(says(user("u")), spoken(("user", "u"))),
    "content of null": both(says(user(None), user("u")), spoken(("user", ""), ("user", "u"))),
    "content as parts": both(parts({"type": "text", "text": "!"}), spoken(("user", "See!"))),
    "part text": both(parts(), spoken(("user", "See"))),
    "part image_url": both(parts({"type": "image_url", "image_url": {"url": PNG}}), passed(attached), VISION),
    "image_url.detail": Proof(
        parts({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
        passed(lambda sent: turns(sent)[-1]["content"][1]["image_url"]["detail"] == "low"),
        ignored('"detail"'),
        VISION,
    ),
    "part input_audio": both(
        parts({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}), passed(attached), VISION
    ),
    "part file": both(
        parts({"type": "file", "file": {"file_data": TEXT, "filename": "a.txt"}}), passed(attached), VISION
    ),
    "part file at a URL": Proof(
        parts({"type": "file", "file": {"file_data": "https://example.org/a.pdf"}}),
        emulated(lambda trial: trial.reply.headers["x-proxy-wire"] == "bot" and attached(trial.sent or {})),
        passed(attached),
        VISION,
    ),
    "file.file_id": both(
        parts({"type": "file", "file": {"file_id": "file-1"}}), refused("messages[0].content[1].file.file_data")
    ),
    "part refusal": both(
        says({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, user("u")),
        spoken(("assistant", "No."), ("user", "u")),
    ),
    "cache_control in a part": both(
        parts({"type": "text", "text": "!", "cache_control": {"type": "ephemeral"}}),
        ignored("cache_control", "ephemeral"),
    ),
    "name of an author": Proof(
        says({**user("u"), "name": "ann"}),
        passed(lambda sent: turns(sent)[0]["name"] == "ann"),
        passed(lambda sent: turns(sent)[0]["sender"]["name"] == "ann"),
    ),
    "refusal of an assistant": both(
        says({"role": "assistant", "content": "Hm. ", "refusal": "No."}, user("u")),
        spoken(("assistant", "Hm. No."), ("user", "u")),
    ),
    "reasoning_content of an assistant": both(
        says({"role": "assistant", "content": "a", "reasoning_content": "Hmm"}, user("u")), ignored("Hmm")
    ),
    "reasoning of an assistant": both(
        says({"role": "assistant", "content": "a", "reasoning": "Hmm"}, user("u")), ignored("Hmm")
    ),
    "audio of an assistant": both(
        says({"role": "assistant", "content": "a", "audio": {"id": "audio_1"}}, user("u")), ignored("audio_1")
    ),
    "tool_calls of an assistant": both(
        says(*HISTORY, RESULT),
        passed(lambda sent: [{**call, "extra_content": 0} for call in calls(sent)] == [{**CALL, "extra_content": 0}]),
        TOOLS,
    ),
    "extra_content of a call": both(
        says(
            user("a"),
            {"role": "assistant", "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}]},
            RESULT,
        ),
        passed(lambda sent: calls(sent)[0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}),
        TOOLS,
    ),
    "function_call of an assistant": both(
        says(
            user("a"),
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "42"},
        ),
        passed(lambda sent: [call["function"] for call in calls(sent)] == [CALL["function"]]),
        TOOLS,
    ),
    "name of a tool's result": both(says(*HISTORY, {**RESULT, "name": "nobody"}), ignored("nobody"), TOOLS),
}

FORMS: dict[str, Proof] = {
    "tool of type function": both(TWO, passed(lambda sent: offered(sent) == ["look", "hear"]), TOOLS),
    "strict of a function": Proof(
        {"tools": [{**LOOK, "function": {**LOOK["function"], "strict": True}}]},  # type: ignore[dict-item]
        passed(lambda sent: sent["tools"][0]["function"]["strict"] is True),
        ignored('"strict"'),
        TOOLS,
    ),
    "tool of type custom": both({"tools": [{"type": "custom", "custom": CUSTOM}]}, AS_FUNCTION, TOOLS),
    "tool of type custom, flat": both({"tools": [{"type": "custom", **CUSTOM}]}, AS_FUNCTION, TOOLS),
    "tool_choice of none": Proof({**TWO, "tool_choice": "none"}, has("tool_choice", "none"), NO_TOOLS, TOOLS),
    "tool_choice of auto": Proof(
        {**TWO, "tool_choice": "auto"},
        has("tool_choice", "auto"),
        passed(lambda sent: offered(sent) == ["look", "hear"]),
        TOOLS,
    ),
    "tool_choice of required": Proof(
        {**TWO, "tool_choice": "required"},
        has("tool_choice", "required"),
        asked_in_words("Call at least one of the functions now."),
        TOOLS,
    ),
    "tool_choice of a function": Proof(
        {**TWO, "tool_choice": NAMED},
        has("tool_choice", NAMED),
        emulated(lambda trial: offered(trial.sent or {}) == ["hear"], "tool_choice", "parallel_tool_calls"),
        TOOLS,
    ),
    "tool_choice of a custom tool": Proof(
        {
            "tools": [LOOK, {"type": "custom", "custom": CUSTOM}],
            "tool_choice": {"type": "custom", "custom": {"name": "patch"}},
        },
        has("tool_choice", {"type": "function", "function": {"name": "patch"}}),
        emulated(lambda trial: offered(trial.sent or {}) == ["patch"], "tool_choice", "parallel_tool_calls"),
        TOOLS,
    ),
    "tool_choice of allowed tools": both({**TWO, "tool_choice": ALLOWED}, called("hear"), TOOLS),
    "tool_choice of an unknown tool": both(
        {**TWO, "tool_choice": {"type": "function", "function": {"name": "smell"}}}, refused("tool_choice"), TOOLS
    ),
    "tool_choice without tools": both({"tool_choice": "required"}, ignored("tool_choice", "required")),
    "response_format of text": both({"response_format": {"type": "text"}}, ignored("response_format", "JSON")),
    "response_format of json_object": both(
        {"response_format": {"type": "json_object"}}, emulated(fits), "sandbox-json"
    ),
    "response_format of json_schema": both(schema_of(), emulated(fits), "sandbox-json"),
    "json_schema.description": both(
        schema_of(description="A person."),
        emulated(lambda trial: '"description":"A person."' in words(trial.sent or {})[0][1]),
        "sandbox-json",
    ),
    "json_schema.name": Proof(
        schema_of(name="hero"),
        passed(lambda sent: sent["response_format"]["json_schema"]["name"] == "hero"),
        ignored("hero"),
        "sandbox-json",
    ),
    "json_schema.strict": both(schema_of(strict=True), ignored('"strict"'), "sandbox-json"),
    "json_schema.schema that leads elsewhere": both(
        schema_of(schema={"$ref": "https://example.org/schema"}), refused(PARAM), "sandbox-json"
    ),
    "json_schema.schema that is too much": both(
        schema_of(schema={"description": "x" * 300_000}), refused(PARAM), "sandbox-json"
    ),
}


def section(title: str) -> Iterator[list[str]]:
    """The rows of a section's table, cell by cell."""
    text = PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for row in rows[1:]:
        yield [cell.strip() for cell in row.strip().strip("|").split(" | ")]


def named(cell: str) -> str:
    """What a row is called: its first cell without quotes."""
    return cell.replace("`", "")


SECTIONS = {"The request": REQUEST, "Messages": MESSAGES, "Tools and formats": FORMS}
ROWS = [(proofs, named(row[0]), row) for title, proofs in SECTIONS.items() for row in section(title)]


@pytest.mark.parametrize("title", SECTIONS)
def test_every_row_has_a_proof_and_every_proof_a_row(title: str) -> None:
    rows = [named(row[0]) for row in section(title)]
    assert sorted(rows) == sorted(SECTIONS[title])


def test_every_field_of_the_contract_has_a_row() -> None:
    assert ChatCompletionRequest.model_fields.keys() <= {named(row[0]) for row in section("The request")}


def test_the_words_are_those_that_the_page_explains() -> None:
    text = PAGE.read_text("utf-8")
    explained = set(re.findall(r"^\| \*\*(\w+)\*\* \|", text, re.MULTILINE))
    used = {cell.strip("*") for _, _, row in ROWS for cell in row[1:3]}
    assert used == explained


@pytest.fixture(scope="module")
def declaring(talk: Talk) -> Talk:
    """The sandbox has no model that declares a seed or a film's sound, which Poe has; here one does."""
    catalogue = talk.gateway.gateway.catalogue
    more = {"seed": Parameter("seed", {"type": "integer"}), "audio": Parameter("audio", {"type": "boolean"})}
    known = [
        replace(each, parameters={**each.parameters, **more}) if each.id == TOOLS else each
        for each in catalogue.models()
    ]
    talk.gateway.call(lambda: catalogue.adopt(known))
    return talk


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("proofs", "name", "row"), ROWS, ids=[name for _, name, _ in ROWS])
def test_what_the_page_says_is_so(
    declaring: Talk, proofs: dict[str, Proof], name: str, row: list[str], wire: str
) -> None:
    proof = proofs[name]
    fate = proof.chat if wire == "chat" else proof.bot
    cell = row[1 + WIRES.index(wire)]
    assert cell == f"**{fate.word}**", "the page says something else than what is proven"
    forced = None if name in UNFORCED else wire
    fate.check(tried(declaring, proof, forced))
    if fate.elsewhere is not None:
        fate.elsewhere(tried(declaring, proof, forced, model="sandbox-echo"))


ASKS: dict[str, dict[str, Any]] = {
    "words": {"model": "Sandbox-Echo", **says(user("one two"))},
    "thoughts": {"model": "sandbox-reasoner", **says(user("one two"))},
    "calls": {"model": "sandbox-gemini-3.1", **says(user("look and hear")), **TWO},
    "older": {"model": TOOLS, **says(user("look")), "functions": [LOOK["function"]]},
    "picture": {"model": "sandbox-image", **says(user("a cat"))},
    "parts": {"model": "sandbox-image", "modalities": ["image"], **says(user("a cat"))},
    "limit": {"model": "sandbox-echo", **says(user("one two three four five six")), "max_tokens": 1},
}


@dataclass(frozen=True)
class Shown:
    """One answer to each of `ASKS`, on one wire, whole or streamed and folded."""

    wire: str
    stream: bool
    answers: Mapping[str, dict[str, Any]]

    def message(self, ask: str) -> dict[str, Any]:
        found: dict[str, Any] = self.answers[ask]["choices"][0]["message"]
        return found

    def choice(self, ask: str) -> dict[str, Any]:
        found: dict[str, Any] = self.answers[ask]["choices"][0]
        return found


def counts(shown: Shown, name: str) -> bool:
    return all(answer["usage"][name] >= 0 for answer in shown.answers.values())


def detailed(shown: Shown, name: str, *members: str) -> bool:
    return all(set(members) <= answer["usage"][name].keys() for answer in shown.answers.values())


def without(name: str) -> Callable[[Shown], bool]:
    return lambda shown: all(answer.get(name) is None for answer in shown.answers.values())


def finishes(shown: Shown) -> bool:
    found = [shown.choice(ask)["finish_reason"] for ask in ("words", "calls", "older", "limit")]
    # One word over a limit of one token is not surely over it: on bot the estimate lets the short answer pass.
    return found[:3] == ["stop", "tool_calls", "function_call"] and found[3] in ("length", "stop")


def told_calls(shown: Shown) -> bool:
    first, second = shown.message("calls")["tool_calls"]
    return first["id"] != second["id"] and "google" in first["extra_content"] and "extra_content" not in second


ANSWER: dict[str, Callable[[Shown], Any]] = {
    "id": lambda shown: len({answer["id"] for answer in shown.answers.values()}) == len(ASKS),
    "object": lambda shown: all(answer["object"].startswith("chat.completion") for answer in shown.answers.values()),
    "created": lambda shown: all(abs(answer["created"] - time.time()) < 60 for answer in shown.answers.values()),
    "model": lambda shown: all(answer["model"] == ASKS[ask]["model"] for ask, answer in shown.answers.items()),
    "choices": lambda shown: all(len(answer["choices"]) == 1 for answer in shown.answers.values()),
    "choices[].index": lambda shown: shown.choice("words")["index"] == 0,
    "choices[].finish_reason": finishes,
    "choices[].logprobs": lambda shown: shown.choice("words")["logprobs"] is None,
    "message.role": lambda shown: shown.message("words")["role"] == "assistant",
    "message.content": lambda shown: (
        shown.message("words")["content"] == "one two"
        and not shown.message("calls")["content"]
        and re.fullmatch(r"!\[[^\]]+\]\(http\S+\)", shown.message("picture")["content"])
        and shown.message("parts")["content"][0]["type"] == "image_url"
    ),
    "message.refusal": lambda shown: shown.message("words")["refusal"] is None,
    "message.reasoning_content": lambda shown: "2 words" in shown.message("thoughts")["reasoning_content"],
    "message.reasoning": lambda shown: (
        shown.message("thoughts")["reasoning"] == shown.message("thoughts")["reasoning_content"]
    ),
    "message.tool_calls": told_calls,
    "message.function_call": lambda shown: shown.message("older")["function_call"]["name"] == "look",
    "message.annotations": lambda shown: not shown.message("words").get("annotations"),
    "usage": lambda shown: all(answer["usage"] for answer in shown.answers.values()),
    "usage.prompt_tokens": lambda shown: counts(shown, "prompt_tokens"),
    "usage.completion_tokens": lambda shown: counts(shown, "completion_tokens"),
    "usage.total_tokens": lambda shown: counts(shown, "total_tokens"),
    "usage.prompt_tokens_details": lambda shown: detailed(
        shown, "prompt_tokens_details", "cached_tokens", "audio_tokens"
    ),
    "usage.completion_tokens_details": lambda shown: detailed(
        shown,
        "completion_tokens_details",
        "reasoning_tokens",
        "audio_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    ),
    "usage.estimated": lambda shown: shown.answers["words"]["usage"].get("estimated", False) is (shown.wire == "bot"),
    "system_fingerprint": without("system_fingerprint"),
    "service_tier": without("service_tier"),
}


@pytest.fixture(scope="module", params=[(wire, stream) for wire in WIRES for stream in (False, True)], ids=str)
def shown(talk: Talk, request: pytest.FixtureRequest) -> Shown:
    wire, stream = request.param
    answers = {}
    for name, body in ASKS.items():
        reply = talk.ask({**body, "stream": stream, "stream_options": {"include_usage": True}}, wire)
        answers[name] = folded(reply.content) if stream else reply.json()
    return Shown(wire, stream, answers)


@pytest.mark.parametrize("name", ANSWER)
def test_the_answer_is_what_the_page_says(shown: Shown, name: str) -> None:
    assert ANSWER[name](shown), shown.answers


def test_every_member_of_an_answer_has_a_row() -> None:
    assert sorted(named(row[0]) for row in section("The answer")) == sorted(ANSWER)
    schemas = orjson.loads(document.as_json())["components"]["schemas"]
    prefixes = {"ChatCompletion": "", "Choice": "choices[].", "AnswerMessage": "message.", "Usage": "usage."}
    members = {f"{prefix}{name}" for schema, prefix in prefixes.items() for name in schemas[schema]["properties"]}
    assert members - {"choices[].message"} == ANSWER.keys()
