"""The token of a gateway that only its own machine can reach: made once and kept."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from service.values.specs import SHORTEST_TOKEN

FILE_NAME = "access-token"
TENANT = "local"


@dataclass(frozen=True, slots=True)
class LocalToken:
    """A token's text and the file that keeps it; no file where none could be written, so that it ends with us."""

    text: str = field(repr=False)
    file: Path | None


def local_token(folder: Path) -> LocalToken:
    """The token kept in `folder`, made on first use in a file that only its owner can read."""
    file = folder / FILE_NAME
    if (kept := _kept(file)) is not None:
        return LocalToken(kept, file)
    made = secrets.token_urlsafe(32)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_once(file, made)
    except FileExistsError:
        # Another process was quicker, or what is there is no token; only the first can be shared.
        kept = _kept(file)
        return LocalToken(made, None) if kept is None else LocalToken(kept, file)
    except OSError:
        return LocalToken(made, None)
    return LocalToken(made, file)


def _kept(file: Path) -> str | None:
    try:
        text = file.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):  # a file system that is read-only stays as it is
        file.chmod(0o600)
    return text if len(text) >= SHORTEST_TOKEN and text.isprintable() and " " not in text else None


def _write_once(file: Path, text: str) -> None:
    """The file appears whole or not at all, and never over another one."""
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(text + "\n")
        os.link(draft, file)
    finally:
        Path(draft).unlink()
