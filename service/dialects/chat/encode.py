"""Answers in the shape of chat completions: events in, bytes out, no waiting.

A stream's text chunks differ in one string; the bytes around it are made once for an answer. Whole answers are folded
from the same events, so that the two cannot tell different stories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from service.dialects.chat.calls import CallWriter, whole_call
from service.dialects.chat.extra import logprobs_object, merge
from service.dialects.chat.media import markdown, part
from service.dialects.chat.options import Options
from service.dialects.chat.usage import usage_object
from service.errors import Refusal
from service.events import Event, Extra, File, Finish, Reasoning, Text, ToolCall, escape, read
from service.writing import as_json

DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keep-alive\n\n"
GAP = b"\\n\\n"
"""Between a link and the text beside it, escaped."""


class StreamEncoder:
    """Writes the chunks of one streamed answer.

    The order is: role, deltas, one finish reason, the usage where it was asked for, `[DONE]`. After `fail` there is
    no `[DONE]`. Members beside the vocabulary come in one delta at the end, since programs that add deltas up cannot
    add those.
    """

    def __init__(self, answer_id: str, model: str, created: int, options: Options) -> None:
        frame: dict[str, Any] = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        usage = b',"usage":null' if options.include_usage else b""
        self._frame = frame
        self._head = b"data: " + orjson.dumps(frame)[:-1] + b',"choices":[{"index":0,"delta":{'
        self._tail = b'},"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._text = (self._head + b'"content":"', b'"' + self._tail)
        self._options = options
        self._calls = CallWriter(options)
        self._extra: dict[str, Any] = {}
        self._opened = False
        self._after_text = False
        self._after_file = False
        self._parts = 0

    def feed(self, events: Sequence[Event]) -> bytes:
        """The chunks for some events, in order."""
        out: list[bytes] = []
        if not self._opened:
            self._opened = True
            content = b"" if self._options.media_as_parts else b'"content":"",'
            out.append(self._head + b'"role":"assistant",' + content + b'"refusal":null' + self._tail)
        for event in events:
            if type(event) is Text and event.pieces:
                before, after = self._text
                if self._after_file:
                    self._after_file = False
                    out.append(before + GAP + after)
                out.append(before + (after + before).join(event.pieces) + after)
                self._after_text = True
            else:
                out.append(self._odd(event))
        return b"".join(out)

    def _odd(self, event: Event) -> bytes:
        match event:
            case Reasoning(pieces):
                return b"" if self._options.hide_reasoning else b"".join([self._reasoning(piece) for piece in pieces])
            case ToolCall():
                return self._deltas(self._calls.feed(event))
            case File():
                return self._file(event)
            case Extra(members):
                return self._add_extra(members)
            case Finish():
                return self._finish(event)
            case _:
                return b""

    def _reasoning(self, piece: bytes) -> bytes:
        return self._head + b'"reasoning_content":"' + piece + b'","reasoning":"' + piece + b'"' + self._tail

    def _deltas(self, deltas: Sequence[Mapping[str, Any]]) -> bytes:
        return b"".join([self._delta(delta) for delta in deltas])

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return self._head + as_json(delta)[1:-1] + self._tail

    def _file(self, file: File) -> bytes:
        if self._options.media_as_parts:
            self._parts += 1
            return self._delta({"content": [{"index": self._parts - 1, **part(file)}]})
        gap = "\n\n" if self._after_text else ""
        self._after_text = self._after_file = True
        return self._delta({"content": gap + markdown(file)})

    def _add_extra(self, members: Mapping[str, Any]) -> bytes:
        merge(self._extra, members, hide_thoughts=self._options.hide_reasoning)
        logprobs = self._extra.pop("logprobs", None)
        if logprobs is None:
            return b""
        return self._chunk([{"index": 0, "delta": {}, "logprobs": logprobs_object(logprobs), "finish_reason": None}])

    def _finish(self, finish: Finish) -> bytes:
        reason = finish_word(finish, self._options)
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}
        out = self._deltas(self._calls.flush())
        if self._extra:
            out += self._delta(self._extra)
        out += self._chunk([last])
        if self._options.include_usage and finish.usage is not None:
            out += self._chunk([], usage_object(finish.usage))
        return out + DONE

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**self._frame, "choices": choices}
        if self._options.include_usage:
            chunk["usage"] = usage
        return b"data: " + as_json(chunk) + b"\n\n"

    @staticmethod
    def fail(refusal: Refusal) -> bytes:
        """The error in band. The body then ends properly, without `[DONE]`."""
        return b"data: " + error_body(refusal) + b"\n\n"


class WholeEncoder:
    """Folds events into one message."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._text: list[bytes] = []
        self._thoughts: list[bytes] = []
        self._calls: dict[int, list[ToolCall]] = {}
        self._files: list[File] = []
        self._extra: dict[str, Any] = {}
        self._after_file = False
        self.finish: Finish | None = None

    def feed(self, events: Sequence[Event]) -> None:
        """Take some events, in order."""
        for event in events:
            if type(event) is Text and event.pieces:
                self._text += (GAP, *event.pieces) if self._after_file else event.pieces
                self._after_file = False
            elif type(event) is Finish:
                self.finish = event
            else:
                self._add_odd(event)

    def _add_odd(self, event: Event) -> None:
        match event:
            case Reasoning(pieces):
                self._thoughts += pieces
            case ToolCall():
                self._calls.setdefault(event.index, []).append(event)
            case File():
                self._add_file(event)
            case Extra(members):
                merge(self._extra, members, hide_thoughts=self._options.hide_reasoning)

    def _add_file(self, file: File) -> None:
        if self._options.media_as_parts:
            self._files.append(file)
        else:
            self._text += (GAP, escape(markdown(file))) if self._text else (escape(markdown(file)),)
            self._after_file = True

    def body(self, answer_id: str, model: str, created: int) -> bytes:
        """The completion as JSON."""
        assert self.finish is not None
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **self._extra}
        logprobs = logprobs_object(message.pop("logprobs", None))
        if self._thoughts and not self._options.hide_reasoning:
            message["reasoning_content"] = message["reasoning"] = orjson.Fragment(_quoted(self._thoughts))
        if self._calls:
            calls = [whole_call(self._calls[index], self._options) for index in sorted(self._calls)]
            message |= {"function_call": calls[0]} if self._options.legacy_functions else {"tool_calls": calls}
        message["content"] = self._content()
        reason = finish_word(self.finish, self._options)
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}
        completion = {
            "id": answer_id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [choice],
            "usage": usage_object(self.finish.usage) if self.finish.usage is not None else None,
        }
        return as_json(completion)

    def _content(self) -> Any:
        if self._files:
            text = read(self._text)
            texts = [{"type": "text", "text": text}] if text else []
            return [*texts, *[part(file) for file in self._files]]
        if self._text:
            return orjson.Fragment(_quoted(self._text))
        return None if self._calls or self._extra.get("refusal") else ""


def _quoted(pieces: Sequence[bytes]) -> bytes:
    return b'"' + b"".join(pieces) + b'"'


def finish_word(finish: Finish, options: Options) -> str:
    """The finish reason, in the older word for callers of the older form."""
    return "function_call" if finish.reason == "tool_calls" and options.legacy_functions else finish.reason


def error_body(refusal: Refusal) -> bytes:
    """An error in OpenAI's shape."""
    error = {"message": refusal.message, "type": refusal.type, "param": refusal.param, "code": refusal.code}
    return as_json({"error": error})
