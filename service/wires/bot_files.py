"""Files that a bot makes, and the places in its text that point to them.

A bot may write `![title][ref]`, where `ref` names one of its files. That is no Markdown until the reference is
resolved, so the file's URL takes its place, and the file is then not given a second time.
"""

from __future__ import annotations

import re

from service.events import Event, File, Text, escape

MAX_AWAITED_BYTES = 8 * 1024
"""Of text that is held back because it points to a file that did not come yet."""
MAX_FILES = 100
"""Of one answer that can be pointed to; later ones are given as they come."""

_REFERENCE = re.compile(rb"!\[([^\[\]]{0,200})\]\[([A-Za-z0-9_-]{1,64})\]")
_OPEN = re.compile(rb"!(?:\[(?:[^\[\]]{0,200}(?:\](?:\[[A-Za-z0-9_-]{0,64})?)?)?)?")
_SHORTEST_AWAITED = 6
"""Characters of a reference that is waited for; shorter ones are rather a program's `vec![0][1]`."""


class Files:
    """Passes an answer's text and files on, references resolved. Text is escaped (events.Text).

    `repeated`: files are given as events as well where the text points to them.
    """

    __slots__ = ("_held", "_last", "_repeated", "_unseen", "_urls", "_waits")

    def __init__(self, *, repeated: bool) -> None:
        self._repeated = repeated
        self._urls: dict[bytes, bytes] = {}
        self._unseen: dict[bytes, File] = {}
        self._held = b""
        self._last = b""
        self._waits = True

    @property
    def holds(self) -> bool:
        """Whether text or a file is held back."""
        return bool(self._held or self._unseen)

    def text(self, pieces: list[bytes], joined: bytes) -> list[Event]:
        """What of some more text may pass; `joined` is the pieces as one."""
        if not self._held and (b"!" not in joined or (b"![" not in joined and not joined.endswith(b"!"))):
            self._last = joined[-1:] or self._last
            return [Text(tuple(pieces))] if joined else []
        return self._scan(self._held + joined)

    def file(self, file: File, reference: str | None) -> list[Event]:
        """A file; one with a reference waits for the text that points to it."""
        if not reference or len(self._urls) >= MAX_FILES:
            return [file]
        key = escape(reference)
        self._urls[key] = escape(file.url.replace(" ", "%20").replace(")", "%29"))
        events: list[Event] = []
        if self._repeated:
            events.append(file)
        else:
            self._unseen[key] = file
        held = self._held
        return events + (self._scan(held) if held else [])

    def forget_text(self) -> None:
        """The bot took back its text before any of it had passed."""
        self._held = b""
        self._last = b""

    def finish(self) -> list[Event]:
        """At the end of the answer: everything that was held back."""
        self._waits = False
        events = self._scan(self._held, ended=True)
        events += self._unseen.values()
        self._unseen.clear()
        return events

    def _scan(self, text: bytes, *, ended: bool = False) -> list[Event]:
        self._held = b""
        text, start = self._last + text, len(self._last)
        out: list[bytes] = []
        at = start
        while (mark := text.find(b"!", at)) >= 0:
            found = _REFERENCE.match(text, mark)
            url = self._urls.get(found[2]) if found is not None else None
            if found is not None and url is not None:
                out += [text[start:mark], b"![%b](%b)" % (found[1], url)]
                self._unseen.pop(found[2], None)
                start = at = found.end()
            elif not ended and self._may_become(text, mark, found):
                self._held = text[mark:]
                text = text[:mark]
                break
            else:
                at = mark + 1
        out.append(text[start:])
        passed = b"".join(out)
        self._last = passed[-1:] or self._last
        return [Text((passed,))] if passed else []

    def _may_become(self, text: bytes, mark: int, found: re.Match[bytes] | None) -> bool:
        """Whether the text from `mark` on may point to a file once more of it, or the file, has come."""
        if not self._urls and text[mark - 1 : mark].isalnum():
            return False  # a program's macro, or the end of a cheerful sentence
        if found is None:
            return _OPEN.fullmatch(text, mark) is not None
        if self._waits and len(text) - mark > MAX_AWAITED_BYTES:
            self._waits = False
        return self._waits and len(found[2]) >= _SHORTEST_AWAITED
