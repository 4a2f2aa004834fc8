"""The bench's upstream answers what was asked, and refuses a conversation that changed on its way."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from bench import cases
from bench.http11 import Reader
from bench.replies import Paced
from bench.upstream import Answers


def ask(path: str, request: dict[str, Any]) -> tuple[bytes, bytes]:
    """Status and body of the upstream's answer."""
    reply = Answers(paced_events=3, corrupt=False).reply(path.encode(), orjson.dumps(request))
    assert isinstance(reply, bytes)
    reader = Reader()
    reader.feed(reply)
    assert reader.complete
    return reader.head[9:12], reader.body()


def bot_query(messages: cases.Messages) -> dict[str, Any]:
    roles = {"assistant": "bot"}
    return {"query": [{"role": roles.get(role, role), "content": text} for role, text in messages]}


@pytest.mark.parametrize("messages", [cases.QUESTION, cases.CONVERSATION])
def test_a_bot_says_the_pieces_and_is_done(messages: cases.Messages) -> None:
    status, body = ask("/bot/Bench-Short", bot_query(messages))
    events = body.decode().removesuffix("\r\n\r\n").split("\r\n\r\n")
    texts = [json.loads(event.removeprefix("event: text\r\ndata: "))["text"] for event in events[:-1]]
    assert status == b"200"
    assert tuple(texts) == cases.SHORT_PIECES
    assert events[-1] == "event: done\r\ndata: {}"


def test_the_long_conversation_is_200_kb_of_fifty_turns() -> None:
    assert len(cases.LONG.body) == 200_000
    assert len(orjson.loads(cases.LONG.body)["messages"]) == 50
    status, _ = ask("/v1/chat/completions", orjson.loads(cases.LONG.body))
    assert status == b"200"


@pytest.mark.parametrize("turn", [0, 17, 49])
def test_a_conversation_with_one_letter_changed_is_refused(turn: int) -> None:
    request = orjson.loads(cases.LONG.body)
    content = request["messages"][turn]["content"]
    request["messages"][turn]["content"] = content[:-1] + chr(ord(content[-1]) + 1)
    status, _ = ask("/v1/chat/completions", request)
    assert status == b"400"


def test_a_conversation_in_content_parts_is_the_same_conversation() -> None:
    request = orjson.loads(cases.WHOLE.body)
    request["messages"] = [{"role": "user", "content": [{"type": "text", "text": cases.QUESTION[0][1]}]}]
    status, _ = ask("/v1/chat/completions", request)
    assert status == b"200"


def test_a_turn_that_is_missing_is_refused() -> None:
    status, _ = ask("/bot/Bench-Short", bot_query(cases.CONVERSATION[1:]))
    assert status == b"400"


def test_the_same_answer_comes_for_the_same_request() -> None:
    answers = Answers(paced_events=3, corrupt=False)
    path = b"/v1/chat/completions"
    assert answers.reply(path, cases.WHOLE.body) == answers.reply(path, cases.WHOLE.body)
    assert answers.reply(path, cases.STREAM.body) != answers.reply(path, cases.WHOLE.body)
    assert isinstance(answers.reply(path, cases.paced(3).body), Paced)
