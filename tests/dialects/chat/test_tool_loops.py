"""Whole conversations through the running gateway: tools, formats, media, thoughts, limits, on both wires."""

from __future__ import annotations

import re
from typing import Any

import httpx
import openai
import orjson
import pytest

from service.dialects.chat.encode import KEEPALIVE
from service.stages.shaping import LIMIT_NOTICE
from tests.contract.replies import assert_stream_conforms
from tests.dialects.chat.conftest import Talk
from tests.dialects.chat.folding import chunks_of, folded, plain
from tests.running import TOKEN, running, sandboxed

WIRES = ("chat", "bot")
UPSTREAM_IDS = {
    "sandbox-tools": r"call_[0-9]{8}",
    "sandbox-gpt-5.2": r"call_[A-Za-z0-9]{24}",
    "sandbox-claude-4.6": r"toolu_[A-Za-z0-9]{24}",
    "sandbox-gemini-3.1": r"tool_\w+_[A-Za-z0-9]{20}",
    "sandbox-kimi-k2.5": r"\w+:[0-9]",
}


def tool(name: str, *required: str) -> dict[str, Any]:
    properties = {each: {"type": "string"} for each in required}
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": schema}}


WEATHER, CLOCK = tool("getWeather", "city"), tool("readClock", "zone")


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def ask(
    talk: Talk, model: str, messages: list[dict[str, Any]], wire: str, *, stream: bool, **members: Any
) -> dict[str, Any]:
    """One answer as a choice, the same whether it was streamed."""
    body = {"model": model, "messages": messages, "stream": stream, **members}
    reply = talk.ask(body, wire)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-proxy-wire"] == wire
    return plain(folded(reply.content) if stream else reply.json())


def result(call: dict[str, Any], content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call["id"], "content": content}


def ids_sent(talk: Talk, wire: str) -> tuple[list[str], list[str]]:
    """The ids of calls and of results as the upstream was sent them."""
    if wire == "chat":
        messages = talk.sent["messages"]
        calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
        return calls, [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    query = talk.sent["query"]
    calls = [
        call["id"]
        for message in query
        if message.get("message_type") == "function_call"
        for call in orjson.loads(message["content"])
    ]
    results = [each["tool_call_id"] for m in query if m["role"] == "tool" for each in orjson.loads(m["content"])]
    return calls, results


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("model", UPSTREAM_IDS)
def test_a_loop_of_several_turns(talk: Talk, model: str, wire: str, stream: bool) -> None:
    messages = [user('What is the weather in "Paris", and what does the clock say in "CET"?')]
    seen: set[str] = set()
    for number in range(3):
        answer = ask(talk, model, messages, wire, stream=stream, tools=[WEATHER, CLOCK])
        message = answer["message"]
        calls = message["tool_calls"]
        assert answer["finish_reason"] == "tool_calls"
        assert [call["function"]["name"] for call in calls] == ["getWeather", "readClock"]
        assert [list(orjson.loads(call["function"]["arguments"])) for call in calls] == [["city"], ["zone"]]
        ids = {call["id"] for call in calls}
        assert len(ids) == 2
        assert not ids & seen, "an id comes back"
        seen |= ids
        messages += [message, *[result(call, f"{number} for {call['function']['name']}") for call in reversed(calls)]]

        answer = ask(talk, model, messages, wire, stream=stream, tools=[WEATHER, CLOCK])
        said = f"getWeather says: {number} for getWeather\nreadClock says: {number} for readClock"
        assert answer["message"]["content"] == said
        assert answer["finish_reason"] == "stop"
        sent_calls, sent_results = ids_sent(talk, wire)
        assert sent_calls == sent_results, "results stand in the order of their calls"
        assert len(sent_calls) == 2 * (number + 1)
        assert all(re.fullmatch(UPSTREAM_IDS[model], each) for each in sent_calls), "the upstream sees its own ids"
        messages += [answer["message"], user("And the weather and the clock now?")]


@pytest.mark.parametrize("wire", WIRES)
def test_ids_that_repeat_upstream_are_unique_here(talk: Talk, wire: str) -> None:
    messages = [user("Weather?")]
    for _ in range(2):
        message = ask(talk, "sandbox-kimi-k2.5", messages, wire, stream=True, tools=[WEATHER])["message"]
        assert message["content"] == "I'll use the getWeather tool.", "text beside a call is kept"
        messages += [message, result(message["tool_calls"][0], "sun"), user("And now?")]
    ask(talk, "sandbox-kimi-k2.5", messages, wire, stream=False, tools=[WEATHER])
    assert ids_sent(talk, wire) == (["getWeather:0"] * 2, ["getWeather:0"] * 2)
    assert len({message["tool_calls"][0]["id"] for message in messages if "tool_calls" in message}) == 2


@pytest.mark.parametrize("dropped", [False, True], ids=["returned", "dropped by the caller"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_signatures_come_along_and_go_back(talk: Talk, wire: str, stream: bool, dropped: bool) -> None:
    messages = [user("Weather?")]
    message = ask(talk, "sandbox-gemini-3.1", messages, wire, stream=stream, tools=[WEATHER])["message"]
    (call,) = message["tool_calls"]
    signature = call["extra_content"]["google"]["thought_signature"]
    assert signature
    if dropped:
        del call["extra_content"]
    again = [*messages, message, result(call, "sun")]
    answer = ask(talk, "sandbox-gemini-3.1", again, wire, stream=stream, tools=[WEATHER])
    assert answer["message"]["content"] == "getWeather says: sun"
    if wire == "chat":
        sent = talk.sent["messages"][1]["tool_calls"][0]
    else:
        sent = orjson.loads(talk.sent["query"][1]["content"])[0]
    assert sent["extra_content"]["google"]["thought_signature"] == signature


@pytest.mark.parametrize("wire", WIRES)
def test_a_history_of_another_models_calls_goes_to_one_that_signs_its_own(talk: Talk, wire: str) -> None:
    messages = [user("Weather and clock?")]
    message = ask(talk, "sandbox-tools", messages, wire, stream=False, tools=[WEATHER, CLOCK])["message"]
    messages += [message, *[result(call, "fine") for call in message["tool_calls"]]]
    answer = ask(talk, "sandbox-gemini-3.1", messages, wire, stream=False, tools=[WEATHER, CLOCK])
    assert answer["message"]["content"] == "getWeather says: fine\nreadClock says: fine"


def test_a_model_that_loses_calls_in_streams_is_asked_whole_and_streamed_again(talk: Talk) -> None:
    answer = ask(talk, "sandbox-grok-4", [user("Weather?")], "chat", stream=True, tools=[WEATHER])
    assert answer["finish_reason"] == "tool_calls"
    assert "stream" not in talk.sent
    ask(talk, "sandbox-grok-4", [user("No tools.")], "chat", stream=True)
    assert talk.sent["stream"] is True, "without tools it streams"


def test_a_bot_known_to_replace_its_text_is_heard_out_the_first_time(talk: Talk) -> None:
    answer = ask(talk, "sandbox-rewriter", [user("hello")], "bot", stream=True)
    assert answer["message"]["content"] == "A second thought: hello"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_tool_of_plain_text_round_trips(talk: Talk, wire: str, stream: bool) -> None:
    patch = {"type": "custom", "name": "patch", "description": "Edit a file.", "format": {"type": "text"}}
    messages = [user("Fix `*** Begin Patch`")]
    message = ask(talk, "sandbox-tools", messages, wire, stream=stream, tools=[patch])["message"]
    (call,) = message["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "patch", "input": "*** Begin Patch"})
    again = [*messages, message, result(call, "done")]
    answer = ask(talk, "sandbox-tools", again, wire, stream=stream, tools=[patch])
    assert answer["message"]["content"] == "patch says: done"
    if wire == "chat":
        (sent,) = talk.sent["messages"][1]["tool_calls"]
        assert orjson.loads(sent["function"]["arguments"]) == {"input": "*** Begin Patch"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_the_older_form_round_trips(talk: Talk, wire: str, stream: bool) -> None:
    messages = [user("Weather?")]
    members = {"functions": [WEATHER["function"]], "function_call": "auto"}
    answer = ask(talk, "sandbox-tools", messages, wire, stream=stream, **members)
    assert answer["finish_reason"] == "function_call"
    message = answer["message"]
    assert message["function_call"]["name"] == "getWeather"
    again = [*messages, message, {"role": "function", "name": "getWeather", "content": "sun"}]
    answer = ask(talk, "sandbox-tools", again, wire, stream=stream, **members)
    assert answer["message"]["content"] == "getWeather says: sun"


@pytest.mark.parametrize("wire", WIRES)
def test_choices_are_kept(talk: Talk, wire: str) -> None:
    def called(**members: Any) -> list[str]:
        answer = ask(talk, "sandbox-tools", [user("Hello!")], wire, stream=False, tools=[WEATHER, CLOCK], **members)
        return [call["function"]["name"] for call in answer["message"].get("tool_calls", ())]

    assert called() == []
    assert called(tool_choice={"type": "function", "function": {"name": "readClock"}}) == ["readClock"]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CLOCK]}}
    assert called(tool_choice=allowed) == ["readClock"], "the sandbox calls the only tool that there is"
    assert called(tool_choice="none") == []
    if wire == "chat":
        assert called(tool_choice="required") == ["getWeather"]


def test_parallel_calls_can_be_switched_off(talk: Talk) -> None:
    members: dict[str, Any] = {"tools": [WEATHER, CLOCK], "parallel_tool_calls": False}
    answer = ask(talk, "sandbox-tools", [user("Weather and clock?")], "chat", stream=False, **members)
    assert len(answer["message"]["tool_calls"]) == 1


@pytest.mark.parametrize("wire", WIRES)
def test_a_history_that_was_interrupted_is_mended(talk: Talk, wire: str) -> None:
    call = {"id": "call_x", "type": "function", "function": {"name": "getWeather", "arguments": "{}"}}
    messages = [
        {"role": "tool", "tool_call_id": "gone", "content": "old news"},
        user("a"),
        {"role": "assistant", "content": [], "tool_calls": [call, {**call, "id": "call_y"}]},
        user("b"),
        result(call, "sun"),
        result(call, "again"),
    ]
    answer = ask(talk, "sandbox-tools", messages, wire, stream=False, tools=[CLOCK, WEATHER])
    assert answer["message"]["content"] == "b"
    assert ids_sent(talk, wire) == (["call_x", "call_y"], ["call_x", "call_y"])


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["name", "next"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_schema_is_kept(talk: Talk, wire: str, stream: bool) -> None:
    answer = ask(talk, "sandbox-json", [user('Tell me of "Ann".')], wire, stream=stream, response_format=FORMAT)
    assert orjson.loads(answer["message"]["content"])["name"] == "Ann"
    assert len(talk.upstream) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_one_repair_is_told(talk: Talk, wire: str, stream: bool) -> None:
    body = {"model": "sandbox-json", "messages": [user("Be clumsy.")], "stream": stream, "response_format": FORMAT}
    reply = talk.ask(body, wire)
    assert reply.status_code == 200
    assert "response_format: the first answer did not fit" in reply.headers["x-proxy-notice"]
    answer = plain(folded(reply.content) if stream else reply.json())
    assert "Sure!" not in answer["message"]["content"]
    orjson.loads(answer["message"]["content"])
    assert len(talk.upstream) == 2
    assert reply.headers["x-proxy-attempts"] == "2"
    assert talk.gateway.lines()[-1]["completion_tokens"] >= 55, "of both answers; the second has 53 or less"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_what_cannot_be_repaired_is_502(talk: Talk, wire: str, stream: bool) -> None:
    body = {"model": "sandbox-json", "messages": [user("Be hopeless.")], "stream": stream, "response_format": FORMAT}
    reply = talk.ask(body, wire)
    assert reply.status_code == 502
    assert (reply.json()["error"]["type"], reply.json()["error"]["code"]) == ("server_error", "schema_mismatch")
    assert reply.headers["x-should-retry"] == "false"
    assert len(talk.upstream) == 2
    assert talk.gateway.lines()[-1]["completion_tokens"] > 0, "both were paid for"


@pytest.mark.parametrize("wire", WIRES)
def test_any_object_can_be_asked_for(talk: Talk, wire: str) -> None:
    body = [user("Tell me.")]
    answer = ask(talk, "sandbox-json", body, wire, stream=False, response_format={"type": "json_object"})
    assert isinstance(orjson.loads(answer["message"]["content"]), dict)


def test_a_stream_that_is_held_back_is_kept_alive() -> None:
    """Its head leaves at its deadline, comments follow, and then either all of the answer or the error in band."""
    with (
        sandboxed(first_word_seconds=1) as (url, _),
        running(url, HEAD_DEADLINE="100ms", KEEPALIVE="100ms") as gateway,
        httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20) as client,
    ):
        for prompt in ('Tell me of "Ann".', "Be hopeless."):
            body = {"model": "sandbox-json", "messages": [user(prompt)], "stream": True, "response_format": FORMAT}
            reply = client.post("/v1/chat/completions", json=body, headers={"x-proxy-wire": "chat"})
            assert reply.status_code == 200
            silence, first = reply.content.split(b"data: ", 1)
            assert silence.count(KEEPALIVE) >= 3
            assert silence.replace(KEEPALIVE, b"") == b""
            if "Ann" in prompt:
                content = plain(folded(reply.content))["message"]["content"]
                assert orjson.loads(content)["name"] == "Ann"
            else:
                assert_stream_conforms(reply.content)
                assert b'"code":"schema_mismatch"' in first
                assert b"[DONE]" not in first


def test_a_schema_that_cannot_be_used_costs_nothing(talk: Talk) -> None:
    for stream in (False, True):
        remote = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "https://example.org/s"}}}
        body = {"model": "sandbox-json", "messages": [user("x")], "stream": stream, "response_format": remote}
        reply = talk.ask(body)
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "response_format.json_schema.schema"
        assert talk.upstream == []


def test_tools_and_a_schema_go_together(talk: Talk) -> None:
    answer = ask(talk, "sandbox-tools", [user("x")], "chat", stream=True, tools=[WEATHER], response_format=FORMAT)
    assert answer["finish_reason"] == "tool_calls"
    assert len(talk.upstream) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_next_model_answers_where_the_first_is_none(talk: Talk, stream: bool) -> None:
    body = {
        "model": "Sandbox-Failing",
        "models": ["never-heard-of-it", "Sandbox-ECHO"],
        "messages": [user("fail: status 500\nx")],
        "stream": stream,
    }
    reply = talk.ask(body)
    assert reply.status_code == 200
    names = {chunk["model"] for chunk in chunks_of(reply.content)} if stream else {reply.json()["model"]}
    assert names == {"Sandbox-ECHO"}, "the answer tells who gave it, as the caller spelt it"
    assert int(reply.headers["x-proxy-attempts"]) > 1


MEDIA = {"sandbox-image": "image", "sandbox-speech": "audio", "sandbox-video": "video"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("model", MEDIA)
def test_media_are_links(talk: Talk, model: str, wire: str, stream: bool) -> None:
    content = ask(talk, model, [user("A red cat")], wire, stream=stream)["message"]["content"]
    assert re.fullmatch(rf"!?\[[^\]]+\]\(http://\S+/base/{MEDIA[model]}/\w+\S*\)", content), content
    assert content.startswith("!") is (model == "sandbox-image")
    url = content[content.index("(") + 1 : -1]
    assert httpx.get(url).status_code == 200
    assert "Generating" not in content, "lines of progress are no answer"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("model", MEDIA)
def test_media_are_parts_where_parts_were_asked_for(talk: Talk, model: str, wire: str, stream: bool) -> None:
    answer = ask(talk, model, [user("A red cat")], wire, stream=stream, modalities=["text", MEDIA[model]])
    (part,) = answer["message"]["content"]
    if model == "sandbox-image":
        url = part["image_url"]["url"]
    else:
        assert part["type"] == "file"
        url = part["file"]["url"]
    assert httpx.get(url).status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_thoughts_are_apart_from_the_answer(talk: Talk, wire: str, stream: bool) -> None:
    message = ask(talk, "sandbox-reasoner", [user("One two")], wire, stream=stream)["message"]
    assert message["content"] == "One two"
    assert message["reasoning_content"] == message["reasoning"]
    assert message["reasoning"].startswith("The user wrote 2 words.")
    hidden = ask(talk, "sandbox-reasoner", [user("One two")], wire, stream=stream, reasoning={"exclude": True})[
        "message"
    ]
    assert hidden == {"role": "assistant", "content": "One two"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_the_strict_shape_of_a_provider_is_read(talk: Talk, wire: str, stream: bool) -> None:
    body = {"model": "sandbox-claude-4.6", "messages": [user("One")], "stream": stream, "reasoning_effort": "high"}
    reply = talk.ask(body, wire)
    names = {chunk["model"] for chunk in chunks_of(reply.content)} if stream else {reply.json()["model"]}
    assert names == {"sandbox-claude-4.6"}, "the provider's name is not told"
    answer = plain(folded(reply.content) if stream else reply.json())
    assert answer["message"]["reasoning"].startswith("The user wrote 1 words.")
    assert answer["message"]["content"] == "One"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stop", ["four", ["five", "\n\n", "four"]])
def test_stop_ends_the_answer(talk: Talk, wire: str, stream: bool, stop: Any) -> None:
    answer = ask(talk, "sandbox-echo", [user("one two three four five")], wire, stream=stream, stop=stop)
    assert (answer["message"]["content"], answer["finish_reason"]) == ("one two three ", "stop")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_blanks_end_the_answer_too(talk: Talk, wire: str, stream: bool) -> None:
    answer = ask(talk, "sandbox-echo", [user("one two\nthree")], wire, stream=stream, stop=["\n"])
    assert (answer["message"]["content"], answer["finish_reason"]) == ("one two", "stop")
    if wire == "chat":
        assert "stop" not in talk.sent, "Poe refuses blanks"


WORDS = " ".join(f"word{number}" for number in range(200))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_either_limit_is_kept(talk: Talk, name: str, wire: str, stream: bool) -> None:
    body = {"model": "sandbox-slow", "messages": [user(f"speed: 900\n{WORDS}")], "stream": stream, name: 40}
    reply = talk.ask(body, wire)
    answer = plain(folded(reply.content) if stream else reply.json())
    assert answer["finish_reason"] == "length"
    assert 10 <= len(answer["message"]["content"].split()) <= 120
    assert (LIMIT_NOTICE in reply.headers.get("x-proxy-notice", "")) is (wire == "bot")
    if wire == "bot":
        assert [call.ended for call in talk.upstream] in (["left"], [None]), "the bot is stopped"


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_within_its_limit_is_whole(talk: Talk, wire: str) -> None:
    answer = ask(talk, "sandbox-echo", [user("one two three")], wire, stream=True, max_tokens=40)
    assert (answer["message"]["content"], answer["finish_reason"]) == ("one two three", "stop")


@pytest.mark.parametrize("wire", WIRES)
def test_usage_of_a_stream_is_asked_for(talk: Talk, wire: str) -> None:
    members = {"stream_options": {"include_usage": True, "include_obfuscation": True}}
    usage = ask(talk, "sandbox-echo", [user("one two three")], wire, stream=True, **members)["usage"]
    assert usage["completion_tokens"] > 0
    assert usage.get("estimated", False) is (wire == "bot")
    assert ask(talk, "sandbox-echo", [user("one")], wire, stream=True)["usage"] is None


def test_two_answers_are_refused(talk: Talk) -> None:
    reply = talk.ask({"model": "sandbox-echo", "messages": [user("x")], "n": 2})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "n"
    assert talk.upstream == []


@pytest.mark.parametrize("wire", WIRES)
def test_the_official_client_takes_every_answer_strictly(talk: Talk, wire: str) -> None:
    client = openai.OpenAI(
        base_url=f"{talk.gateway.url}/v1",
        api_key=TOKEN,
        _strict_response_validation=True,
        default_headers={"x-proxy-wire": wire},
    )
    with (
        client,
        client.chat.completions.stream(
            model="sandbox-tools",
            messages=[{"role": "user", "content": "weather and clock"}],
            tools=[WEATHER, CLOCK],  # type: ignore[list-item]
            stream_options={"include_usage": True},
        ) as stream,
    ):
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert [call.function.name for call in final.choices[0].message.tool_calls or ()] == ["getWeather", "readClock"]
    assert final.usage is not None


def test_an_answer_that_breaks_in_the_middle_says_so(talk: Talk) -> None:
    for wire in WIRES:
        body = {"model": "sandbox-failing", "messages": [user("fail: cut after 20")], "stream": True}
        reply = talk.ask(body, wire)
        assert_stream_conforms(reply.content)
        assert b"[DONE]" not in reply.content
        assert b'"code":"upstream_error"' in reply.content
