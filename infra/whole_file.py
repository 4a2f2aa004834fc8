"""A file written whole or not at all, whatever ends the task or fills the disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

USUAL_MODE = 0o644


def write(path: Path, text: str, mode: int | None = None) -> None:
    """Put `text` in the place of what is there; without a `mode` with that of before.

    Until it is whole only its owner can read it, beside `path` under a name that begins with a dot and `path`'s.
    """
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else USUAL_MODE
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).chmod(mode)
        os.replace(draft, path)
    except BaseException:  # no half of a secret stays behind
        Path(draft).unlink(missing_ok=True)
        raise
