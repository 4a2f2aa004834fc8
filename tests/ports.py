"""Loopback ports for programs that have to be told theirs."""

from __future__ import annotations

import socket
from types import TracebackType


class Port:
    """A port that is nobody else's until it is closed.

    A port that was only found free may be taken by any other test before the program has it. This one is bound all the
    while, so that the system gives it to nobody who asks for a free one; and it is not listened on, so that a program
    which asks for it by its number gets it.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((host, 0))
        self.number: int = self._held.getsockname()[1]

    def close(self) -> None:
        """Give it back."""
        self._held.close()

    def __enter__(self) -> Port:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
