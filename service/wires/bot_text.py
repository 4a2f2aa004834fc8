"""The text of a bot's answer on its way to the caller: held, replaced, told from thoughts, its files in their places.

A bot may throw away all of its text and write another (`replace_response`). What the caller already has cannot be
taken back: where the new text begins with it the rest is sent; where not, the answer is held back until it is final,
and then follows after a blank line. Bots that are known to do this are held back from the start, and so is an answer
that begins with a replacement, since that is a line of progress.
"""

from __future__ import annotations

from service.errors import Failure, Kind
from service.events import Event, File, Reasoning, Text, escape, read
from service.wires.bot_files import Files
from service.wires.bot_thinking import Thoughts
from service.wires.chat_answer import media_events

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of one answer's text, all of which is kept in case that it is replaced."""
MAX_HELD_FILES = 1000


class AnswerText:
    """One answer's text and files. `held`: nothing passes before the end; `media`: the answer is to be a file.

    `rewrote`: the bot threw away text that the caller had already.
    """

    __slots__ = (
        "_bytes",
        "_files",
        "_files_repeated",
        "_held",
        "_left",
        "_media",
        "_raw",
        "_text_left",
        "_thoughts",
        "_waiting",
        "rewrote",
    )

    def __init__(self, *, held: bool, media: bool, files_repeated: bool) -> None:
        self._held = held
        self._media = media
        self._files = Files(repeated=files_repeated or media)
        self._files_repeated = files_repeated
        self._thoughts: Thoughts | None = Thoughts()
        self._raw: list[bytes] = []
        self._bytes = 0
        self._left: str | None = None
        self._text_left = False
        self._waiting: list[tuple[File, str | None]] = []
        self.rewrote = False

    def add(self, pieces: list[bytes]) -> list[Event]:
        """What may pass once some more text has come. Raises Failure when the answer outgrows MAX_ANSWER_BYTES."""
        joined = b"".join(pieces)
        self._keep(joined)
        return [] if self._held else self._flow(pieces, joined)

    def replace(self, text: str) -> list[Event]:
        """What may pass once the bot has put `text` in the place of all that it wrote. Raises as `add`."""
        old = "" if self._held else read(self._raw)
        self._raw.clear()
        self._bytes = 0
        self._keep(escape(text))
        if self._held:
            return []
        if self._text_left or self._left is not None:
            if text.startswith(old):
                rest = escape(text[len(old) :])
                return self._flow([rest], rest)
            self.rewrote = self._text_left
            self._left = old
        else:
            self._thoughts = Thoughts()
            self._files.forget_text()
        self._held = True
        return []

    def file(self, file: File, reference: str | None) -> list[Event]:
        """What may pass once a file has come."""
        if not self._held:
            return self._files.file(file, reference)
        if len(self._waiting) >= MAX_HELD_FILES:
            raise Failure(Kind.BROKEN, "The bot's answer holds too many files.")
        self._waiting.append((file, reference))
        return []

    def finish(self) -> list[Event]:
        """What was held back, at the end of the answer."""
        events: list[Event] = []
        if self._held:
            # References are known before the text that points to them.
            files = [event for waiting in self._waiting for event in self._files.file(*waiting)]
            events += self._final_text(read(self._raw))
            events += files
        events += self._flush()
        return self._as_media(events) if self._media and self._held else events

    def _final_text(self, text: str) -> list[Event]:
        if self._left is None:
            return self._flow_whole(text)
        if text.startswith(self._left):
            return self._flow_whole(text[len(self._left) :])
        events = self._flush()
        self._thoughts = None
        return events + self._flow_whole(f"\n\n{text}" if text and self._text_left else text)

    def _flow_whole(self, text: str) -> list[Event]:
        escaped = escape(text)
        return self._flow([escaped], escaped) if text else []

    def _flow(self, pieces: list[bytes], joined: bytes) -> list[Event]:
        """Text past the point where it may still be replaced: thoughts out of it, references resolved."""
        if self._thoughts is None:
            events = self._files.text(pieces, joined)
        else:
            events = self._split(pieces, joined, self._thoughts)
        if events:
            self._text_left = self._text_left or any([isinstance(event, Text) for event in events])
            self._left = self._left or ""
        return events

    def _split(self, pieces: list[bytes], joined: bytes, thoughts: Thoughts) -> list[Event]:
        text = read([joined])
        parts = thoughts.feed(text)
        if thoughts.passed:
            self._thoughts = None
            if parts == [(False, text)]:
                return self._files.text(pieces, joined)
        events: list[Event] = []
        for is_thought, text in parts:
            piece = escape(text)
            events += [Reasoning((piece,))] if is_thought else self._files.text([piece], piece)
        return events

    def _flush(self) -> list[Event]:
        events: list[Event] = []
        if self._thoughts is not None:
            held, self._thoughts = escape(self._thoughts.flush()), None
            events += self._files.text([held], held)
        return events + self._files.finish()

    def _as_media(self, events: list[Event]) -> list[Event]:
        """The final answer of a media bot: files where the text is nothing but links to them, each file once."""
        text = read([piece for event in events if isinstance(event, Text) for piece in event.pieces])
        files = [event for event in events if isinstance(event, File)]
        others = [event for event in events if not isinstance(event, (Text, File))]
        linked = media_events(text)
        if any([isinstance(event, Text) for event in linked]):
            return [*others, *linked, *[file for file in files if self._files_repeated or file.url not in text]]
        urls = {file.url for file in files}
        return [*others, *files, *[event for event in linked if isinstance(event, File) and event.url not in urls]]

    def _keep(self, joined: bytes) -> None:
        self._bytes += len(joined)
        if self._bytes > MAX_ANSWER_BYTES:
            raise Failure(Kind.BROKEN, "The bot's answer is too large.")
        self._raw.append(joined)
