"""Files that a model made, as a chat message can hold them: a Markdown link, or a part of its own."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from service.events import File

AS_IMAGE = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif")
BREAKING = re.compile(r"[\s<>\"\x00-\x1f\x7f]+")


def is_image(file: File) -> bool:
    """By its type, or where that is not told by its name."""
    if file.content_type:
        return file.content_type.startswith("image/")
    path = file.url.partition("?")[0].partition("#")[0].lower()
    return path.endswith(AS_IMAGE) or "/image/" in path


def markdown(file: File) -> str:
    """`![name](url)` for an image, `[name](url)` for anything else."""
    name = " ".join(file.name.replace("[", "(").replace("]", ")").split())
    url = address(file).replace("(", "%28").replace(")", "%29")
    if is_image(file):
        return f"![{name or 'image'}]({url})"
    return f"[{name or _kind(file)}]({url})"


def address(file: File) -> str:
    """The file's URL with nothing in it that could end it too early."""
    return BREAKING.sub(lambda found: quote(found.group()), file.url)


def _kind(file: File) -> str:
    kind = file.content_type.partition("/")[0]
    if kind in ("audio", "video"):
        return kind
    return next((word for word in ("audio", "video") if f"/{word}/" in file.url), "file")


def part(file: File) -> dict[str, Any]:
    """The file as a content part."""
    if is_image(file):
        return {"type": "image_url", "image_url": {"url": address(file)}}
    return {"type": "file", "file": _described(file)}


def _described(file: File) -> dict[str, str]:
    described = {"url": address(file), "filename": file.name or _kind(file)}
    if file.content_type:
        described["media_type"] = file.content_type
    return described
