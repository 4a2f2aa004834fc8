"""Poe's recorded answers, through the chat wire and the chat dialect: nothing in them is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from service.dialects.chat.encode import WholeEncoder
from service.dialects.chat.options import Options
from service.errors import Failure, Kind
from service.wires.call_ids import original
from service.wires.chat_answer import whole_answer
from service.wires.http import failure_from_status
from tests.contract.replies import assert_conforms

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "recordings" / "poe"
RECORDED = sorted(FOLDER.glob("v1-chat-completions-*.json"))
MEDIA = ("ElevenLabs", "Imagen")

pytestmark = pytest.mark.skipif(not RECORDED, reason="the recordings lie beside the repository, and are not there")


def load(path: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = orjson.loads(path.read_bytes())
    return recorded


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem.removeprefix("v1-chat-completions-"))
def test_nothing_is_lost(path: Path) -> None:
    recorded = load(path)["response"]
    if recorded["status"] != 200:
        failure = failure_from_status(recorded["status"], recorded["headers"], orjson.dumps(recorded["body"]))
        assert failure.message == recorded["body"]["error"]["message"]
        return
    told = recorded["body"]
    before, usage = told["choices"][0]["message"], told["usage"]
    media = any(name in path.name for name in MEDIA)
    encoder = WholeEncoder(Options())
    encoder.feed(whole_answer(told, media=media))
    written = encoder.body("chatcmpl-x", told["model"], told["created"])
    assert_conforms("POST", "/v1/chat/completions", 200, "application/json", written)
    answer = orjson.loads(written)
    after = answer["choices"][0]["message"]
    if media:
        address = before["content"].rsplit("\n", 1)[-1]
        assert address.startswith("https://")
        assert f"]({address})" in after["content"]
    else:
        assert (after["content"] or "") == (before["content"] or "")
    assert after.get("reasoning_content") == before.get("reasoning_content")
    assert after.get("reasoning") == before.get("reasoning")
    assert answer["choices"][0]["finish_reason"] == told["choices"][0]["finish_reason"]
    assert calls(after, ours=True) == calls(before, ours=False)
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert answer["usage"][name] == usage[name]
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        for detail, count in (usage.get(name) or {}).items():
            assert count is None or answer["usage"][name][detail] == count


def calls(message: dict[str, Any], *, ours: bool) -> list[dict[str, Any]]:
    found = message.get("tool_calls") or []
    return [{**call, "id": original(call["id"]) if ours else call["id"]} for call in found]


def test_a_refusal_of_tools_is_the_callers_to_know() -> None:
    refused = [load(path) for path in RECORDED if load(path)["response"]["status"] == 400]
    assert refused
    body = orjson.dumps(refused[0]["response"]["body"])
    failure = failure_from_status(400, {}, body)
    assert isinstance(failure, Failure)
    assert failure.kind in (Kind.BAD_REQUEST, Kind.NOT_ON_WIRE)
    assert failure.code == "unsupported_feature_for_model"
