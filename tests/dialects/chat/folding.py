"""A stream folded into a message by the official client's own hand, so that it can be held against the whole answer."""

from __future__ import annotations

import warnings
from typing import Any

import orjson
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from tests.contract.replies import DONE, assert_stream_conforms, events_of


def chunks_of(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a successful stream, without its `[DONE]`; the contract is asserted on the way."""
    assert_stream_conforms(stream)
    datas = [event["data"] for event in events_of(stream)]
    assert datas[-1] == DONE, "the stream failed"
    return [orjson.loads(data) for data in datas[:-1]]


def folded(stream: bytes) -> dict[str, Any]:
    """What a program has that added the stream's chunks up: a completion, as `openai` makes it."""
    state: Any = ChatCompletionStreamState()
    texts: list[str] = []
    parts: list[Any] = []
    usage = None
    for chunk in chunks_of(stream):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the client's types know no content parts
            state.handle_chunk(ChatCompletionChunk.construct(**chunk))
        if not _beyond_its_types(chunk):
            ChatCompletionChunk.model_validate(chunk)
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            content = choice["delta"].get("content")
            texts += [content] if isinstance(content, str) else []
            parts += content if isinstance(content, list) else []
    completion: dict[str, Any] = state.current_completion_snapshot.to_dict(warnings=False)
    completion["usage"] = usage
    message = completion["choices"][0]["message"]
    if parts:
        # The client drops parts that follow a text; a program that wants parts puts them behind it.
        text = [{"type": "text", "text": "".join(texts)}] if any(texts) else []
        assert texts or message["content"] == parts, "the client itself adds parts up"
        message["content"] = [*text, *[{k: v for k, v in part.items() if k != "index"} for part in parts]]
    return completion


def _beyond_its_types(chunk: dict[str, Any]) -> bool:
    """Whether a chunk holds what the client's types have no name for: content parts, calls of plain-text tools."""
    deltas = [choice["delta"] for choice in chunk["choices"]]
    custom = any("custom" in call for delta in deltas for call in delta.get("tool_calls") or ())
    return custom or any(isinstance(delta.get("content"), list) for delta in deltas)


def plain(completion: dict[str, Any]) -> dict[str, Any]:
    """What a completion says, without the differences in form between a stream and a whole answer."""
    choice = completion["choices"][0]
    message = {name: value for name, value in choice["message"].items() if value not in (None, "", [])}
    message.pop("parsed", None)
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
        if call.get("function") is None:
            call.pop("function", None)
        else:
            call["function"].pop("parsed_arguments", None)
    return {
        "message": message,
        "finish_reason": choice["finish_reason"],
        "logprobs": choice.get("logprobs") or None,
        "usage": completion.get("usage"),
    }
