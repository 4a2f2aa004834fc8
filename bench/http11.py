"""As much of HTTP/1.1 as the bench speaks: one message at a time, its length told or in chunks."""

from __future__ import annotations


class Reader:
    """Reads one message from a connection; `reset` before the next one. Malformed input raises ValueError."""

    __slots__ = ("_buffer", "_chunked", "_missing", "_parts", "complete", "head")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the message that was read."""
        self.head = b""
        self.complete = False
        self._buffer = b""
        self._parts: list[bytes] = []
        self._chunked = False
        self._missing = 0

    def feed(self, data: bytes) -> bytes:
        """Takes what came from the network and returns the part of the body that it brought."""
        if not self.head:
            self._buffer = data = self._buffer + data if self._buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return b""
            self._begin(data[:end])
            self._buffer = b""
            data = data[end + 4 :]
        new = self._dechunk(data) if self._chunked else self._counted(data)
        if new:
            self._parts.append(new)
        return new

    def body(self) -> bytes:
        """The whole body so far."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _begin(self, head: bytes) -> None:
        self.head = head
        lowered = head.lower()
        at = lowered.find(b"\r\ncontent-length:")
        if at >= 0:
            self._missing = int(lowered[at + 17 :].split(b"\r\n", 1)[0])
            self.complete = self._missing == 0
        elif b"\r\ntransfer-encoding: chunked" in lowered:
            self._chunked = True
        elif head.startswith(b"HTTP/"):
            raise ValueError("an answer of unknown length")
        else:
            self.complete = True

    def _counted(self, data: bytes) -> bytes:
        if len(data) > self._missing:
            raise ValueError("more body than announced")
        self._missing -= len(data)
        self.complete = self._missing == 0
        return data

    def _dechunk(self, data: bytes) -> bytes:
        if self._buffer:
            data = self._buffer + data
        payload = []
        position = 0
        while (end := data.find(b"\r\n", position)) >= 0:
            size = int(data[position:end], 16)
            stop = end + 2 + size
            if len(data) < stop + 2:
                break
            position = stop + 2
            if size == 0:
                self.complete = True
                break
            payload.append(data[end + 2 : stop])
        self._buffer = data[position:]
        return b"".join(payload)


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
