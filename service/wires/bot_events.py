"""Reading Poe's bot query protocol: bytes of an event stream in, events of ours out.

Nearly every event of an answer is `{"text": "…"}` in one spelling, so a whole read of them is split in one go and its
strings pass on escaped as they came, after a check that each is one. Everything else is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from service.errors import Failure, Kind
from service.events import VISIBLE, Event, File, Finish, FinishReason, Progress, Usage, escape
from service.wires.bot_text import AnswerText
from service.wires.chat_answer import Calls, finish_reason, message_events, usage_of
from service.wires.chat_stream import load
from service.wires.pieces import all_sound
from service.wires.refusals import failure_from_error
from service.wires.sse import SseReader, parse_frame
from service.writing import sound_text

_SPELLING = re.compile(rb'(event: ?text\ndata: ?\{[ \t]*"text"[ \t]*:[ \t]*")(.*)("[ \t]*\})')
"""A text event that holds nothing else, around its text."""
_USUAL_SPELLING = (b'event: text\ndata: {"text": "', b'"}')
UNREADABLE = "An event of the bot's answer could not be read."


class BotReader:
    """One answer. `failure`: how it failed, once it has; `done`: its proper end was read, and Finish was given.

    Options as for AnswerText; `secret` is the key in use, kept out of messages.
    """

    def __init__(
        self, *, held: bool = False, media: bool = False, files_repeated: bool = False, secret: str = ""
    ) -> None:
        self.done = False
        self.failure: Failure | None = None
        self._secret = secret
        self._sse = SseReader()
        self._text = AnswerText(held=held, media=media, files_repeated=files_repeated)
        self._head, self._tail = _USUAL_SPELLING
        self._half = ""
        self._calls = Calls()
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._visible = False
        self._worked = False
        self._out: list[Event] = []
        self._readers: Mapping[bytes, Callable[[dict[str, Any]], None]] = {
            b"text": self._add_text,
            b"replace_response": self._replace,
            b"file": self._add_file,
            b"json": self._add_chunk,
            b"error": self._fail,
        }

    @property
    def rewrote(self) -> bool:
        """Whether the bot threw away text that had already been given."""
        return self._text.rewrote

    @property
    def whole(self) -> bool:
        """Whether nothing is missing of the answer: not before `done`, and then nothing more is read anyway."""
        return self.done

    @property
    def over(self) -> bool:
        """Whether nothing more is read: the end was, or there was a failure."""
        return self.done or self.failure is not None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes: a sign of work at least, where the bot did any."""
        if self.over:
            return []
        try:
            frames = self._sse.frames(chunk)
            if frames:
                self._read(frames)
        except Failure as failure:
            self.failure = failure
        return self._taken()

    def close(self) -> list[Event]:
        """The events at the end of the body, which has to be the end of the answer as well."""
        if self.over:
            return []
        try:
            for name, data in self._sse.close():
                self._event(name, data)
            self._demand_end()
        except Failure as failure:
            self.failure = failure
        return self._taken()

    def _demand_end(self) -> None:
        if not self.done:
            raise Failure(Kind.CUT, "The bot's answer ended before it was complete.")

    def _taken(self) -> list[Event]:
        events, self._out = self._out, []
        if not events and self._worked:
            events.append(Progress())
        self._worked = False
        return events

    def _read(self, frames: bytes) -> None:
        head, tail = self._head, self._tail + b"\n\n"
        start, end = frames.find(head), frames.rfind(tail)
        if 0 <= start <= end - len(head) and (not start or frames.startswith(b"\n\n", start - 2)):
            run = frames[start + len(head) : end].split(tail + head)
            if all_sound(run):
                if start:
                    self._read_each(frames[:start])
                if self._half or self.done:
                    self._read_each(frames[start:])
                    return
                self._add(run)
                if end + len(tail) < len(frames):
                    self._read_each(frames[end + len(tail) :])
                return
        self._read_each(frames)

    def _read_each(self, frames: bytes) -> None:
        run: list[bytes] = []
        for frame in frames.split(b"\n\n"):
            head, tail = self._head, self._tail
            if frame.startswith(head) and frame.endswith(tail) and len(frame) >= len(head) + len(tail):
                run.append(frame[len(head) : -len(tail)])
                continue
            if run:
                self._add_run(run)
                run = []
            event = parse_frame(frame)
            if event is not None:
                self._event(*event)
                if event[0] == b"text":
                    self._learn(frame)
        if run:
            self._add_run(run)

    def _add_run(self, run: list[bytes]) -> None:
        """Add the insides of text events in the expected spelling, one after the other."""
        if not self._half and not self.done and all_sound(run):
            self._add(run)
            return
        for piece in run:
            event = parse_frame(self._head + piece + self._tail)
            if event is not None:
                self._event(*event)

    def _learn(self, frame: bytes) -> None:
        """Take this bot's way of writing text events as the one to expect."""
        found = _SPELLING.fullmatch(frame)
        if found is not None and all_sound([found[2]]):
            self._head, self._tail = found[1], found[3]

    def _event(self, name: bytes, data: bytes) -> None:
        if self.done:
            return
        if name == b"done":
            self._finish()
            return
        reader = self._readers.get(name)
        if reader is None:
            return  # meta, ping, suggested replies, and whatever Poe will think of: no part of the answer
        members = load(data)
        if not isinstance(members, dict):
            raise Failure(Kind.CUT, UNREADABLE)
        index = members.get("index")
        if isinstance(index, int) and index != 0:
            return  # another answer beside the one that was asked for
        reader(members)

    def _add(self, pieces: list[bytes]) -> None:
        if b"" in pieces:
            pieces = [piece for piece in pieces if piece]
            if not pieces:
                return
        self._worked = True
        self._give(self._text.add(pieces))

    def _give(self, events: list[Event]) -> None:
        if events:
            self._out += events
            self._visible = self._visible or any([isinstance(event, VISIBLE) for event in events])

    def _add_text(self, members: dict[str, Any]) -> None:
        text = members.get("text")
        if not isinstance(text, str):
            raise Failure(Kind.CUT, UNREADABLE)
        self._write(text)

    def _write(self, text: str) -> None:
        """Add text that may begin or end with half of a surrogate pair."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self._add([escape(text[: len(text) - len(self._half)])])

    def _end_half(self) -> None:
        if self._half:
            half, self._half = self._half, ""
            self._add([escape(half)])

    def _replace(self, members: dict[str, Any]) -> None:
        text = members.get("text", members.get("replace_response"))
        if not isinstance(text, str):
            raise Failure(Kind.CUT, UNREADABLE)
        self._half = ""
        self._worked = True
        self._give(self._text.replace(text))

    def _add_file(self, members: dict[str, Any]) -> None:
        url = members.get("url")
        if not isinstance(url, str) or not url:
            raise Failure(Kind.CUT, UNREADABLE)
        content_type, name, reference = (members.get(key) for key in ("content_type", "name", "inline_ref"))
        file = File(
            sound_text(url),
            content_type=sound_text(content_type) if isinstance(content_type, str) else "",
            name=sound_text(name) if isinstance(name, str) else "",
        )
        self._worked = True
        self._give(self._text.file(file, reference if isinstance(reference, str) else None))

    def _add_chunk(self, chunk: dict[str, Any]) -> None:
        """A chat completion chunk, with which bots call tools."""
        if chunk.get("error"):
            self._fail(chunk)
        self._usage = usage_of(chunk.get("usage")) or self._usage
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            return
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            content = delta.get("content")
            if isinstance(content, str):
                self._write(content)
                delta = {**delta, "content": None}
            events = message_events(delta, self._calls)
            self._worked = self._worked or bool(events)
            self._give(events)
        if choice.get("finish_reason"):
            self._reason = finish_reason(choice["finish_reason"], self._calls)

    def _fail(self, members: dict[str, Any]) -> None:
        raise failure_from_error(members, secret=self._secret)

    def _finish(self) -> None:
        self._end_half()
        self._give(self._text.finish())
        reason = self._reason or "stop"
        if reason == "stop" and len(self._calls):
            reason = "tool_calls"
        self._calls.check(reason)
        if not self._visible and reason in ("stop", "tool_calls"):
            raise Failure(Kind.EMPTY, "The bot's answer is empty.")
        self._out.append(Finish(reason, self._usage))
        self.done = True
