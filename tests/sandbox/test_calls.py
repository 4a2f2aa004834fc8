"""The sandbox logs what it was asked and how that ended, and stops working for callers who leave."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from service.sandbox.accounts import SandboxAccount
from service.sandbox.state import MAX_CALLS, MAX_LOGGED_BODY_BYTES, Sandbox
from tests.running import sandboxed
from tests.sandbox.talking import KEY, eventually, post_chat, post_query, user

SLOW = "speed: 10 " + "word " * 300


def test_a_call_is_logged_with_its_key_its_body_and_its_end(url: str, state: Sandbox) -> None:
    post_chat(url, "Sandbox-Echo", "hello", temperature=0)
    call = state.calls[-1]
    assert (call.endpoint, call.key, call.model, call.status) == ("/v1/chat/completions", KEY, "Sandbox-Echo", 200)
    assert call.body["temperature"] == 0
    assert call.ended == "answered"
    assert call.finished is not None
    assert KEY not in repr(call)
    post_query(url, "Sandbox-Echo", "hello")
    assert (state.calls[-1].endpoint, state.calls[-1].model, state.calls[-1].ended) == (
        "/bot/",
        "Sandbox-Echo",
        "answered",
    )


@pytest.mark.parametrize("verb", ["cut after 1", "no-end"])
def test_a_broken_answer_is_logged_as_broken(url: str, state: Sandbox, verb: str) -> None:
    post_chat(url, "sandbox-failing", f"fail: {verb}", stream=True)
    assert state.calls[-1].ended == "broken"
    post_query(url, "sandbox-failing", f"fail: {verb}")
    assert state.calls[-1].ended == "broken"


def leave(url: str, path: str, body: dict[str, Any], key: str) -> None:
    """Read a little, or nothing, and go."""
    try:
        with (
            httpx.Client(timeout=0.5) as client,
            client.stream("POST", f"{url}{path}", json=body, headers={"authorization": f"Bearer {key}"}) as response,
        ):
            next(response.iter_bytes())
    except httpx.ReadTimeout:
        return


@pytest.mark.parametrize("wire", ["stream", "whole", "bot"])
def test_a_caller_who_leaves_stops_the_work_and_pays_for_what_was_said(wire: str) -> None:
    ids = {"user_id": "", "conversation_id": "", "message_id": ""}
    query = {"version": "1.2", "type": "query", "query": user(SLOW), **ids}
    chat = {"model": "sandbox-slow", "messages": user(SLOW), "stream": wire == "stream"}
    path, body = ("/bot/Sandbox-Slow", query) if wire == "bot" else ("/v1/chat/completions", chat)
    account = SandboxAccount()
    with sandboxed(keys={"k": account}) as (url, state):
        started = time.monotonic()
        leave(url, path, body, "k")
        assert eventually(lambda: state.calls[-1].ended == "left")
        assert time.monotonic() - started < 5
        (row,) = account.history
    lines = row.cost.breakdown()
    told = int(lines["Output"].split("(")[1].split()[0])
    assert told < 100
    assert "Input" in lines


def test_the_log_is_bounded() -> None:
    state = Sandbox()
    for _ in range(MAX_CALLS + 10):
        state.note_body(state.open_call("/x", "k"), "m", {"big": 1}, MAX_LOGGED_BODY_BYTES + 1)
    assert len(state.calls) == MAX_CALLS
    assert state.calls[-1].body is None


def test_pace_is_set_for_all_models() -> None:
    with sandboxed(first_word_seconds=0.2, word_seconds=0.05) as (url, _):
        started = time.monotonic()
        assert post_chat(url, "sandbox-echo", "one two three", stream=True).text.endswith("[DONE]\n\n")
        assert time.monotonic() - started >= 0.3
