"""Files that were uploaded to the sandbox or made by its models; they live for some minutes."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_FILES = 1_000
MAX_BYTES = 256 * 1024 * 1024

PREFIX = "/base"
"""Path of every file: `/base/KIND/HASH`, as on poecdn.net (poe.md 1.8)."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file. `path` starts with a slash."""

    path: str
    data: bytes = field(repr=False)
    content_type: str
    name: str
    expires: float


class Files:
    """All files of a sandbox, the oldest first to go."""

    def __init__(self, *, ttl_seconds: float, clock: Callable[[], float]) -> None:
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._files: OrderedDict[str, StoredFile] = OrderedDict()
        self._bytes = 0

    def add(self, data: bytes, *, content_type: str, name: str) -> StoredFile:
        """Keep a file and give it a path that nobody can guess."""
        path = f"{PREFIX}/{kind_of(content_type)}/{secrets.token_hex(32)}"
        file = StoredFile(path, data, content_type, name, self._clock() + self._ttl_seconds)
        self._files[path] = file
        self._bytes += len(data)
        while len(self._files) > MAX_FILES or (self._bytes > MAX_BYTES and len(self._files) > 1):
            _, oldest = self._files.popitem(last=False)
            self._bytes -= len(oldest.data)
        return file

    def find(self, url: str) -> StoredFile | None:
        """The living file behind a URL or a path, whatever its host and query."""
        try:
            path = urlsplit(url).path
        except ValueError:
            return None
        file = self._files.get(path)
        return file if file is not None and file.expires > self._clock() else None

    def clear(self) -> None:
        """Forget everything, as if the ten minutes were over."""
        self._files.clear()
        self._bytes = 0


def kind_of(content_type: str) -> str:
    """image, audio, video or file."""
    major = content_type.partition("/")[0]
    return major if major in ("image", "audio", "video") else "file"
