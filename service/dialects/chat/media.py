"""Files that a model made, as a chat message can hold them: a Markdown link, or a part of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from service.events import File

AS_IMAGE = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif")


def is_image(file: File) -> bool:
    """By its type, or where that is not told by its name."""
    if file.content_type:
        return file.content_type.startswith("image/")
    path = urlsplit(file.url).path.lower()
    return path.endswith(AS_IMAGE) or "/image/" in path


def markdown(file: File) -> str:
    """`![name](url)` for an image, `[name](url)` for anything else."""
    name = file.name.replace("[", "(").replace("]", ")").replace("\n", " ")
    if is_image(file):
        return f"![{name or 'image'}]({file.url})"
    return f"[{name or _kind(file)}]({file.url})"


def _kind(file: File) -> str:
    kind = file.content_type.partition("/")[0]
    if kind in ("audio", "video"):
        return kind
    return next((word for word in ("audio", "video") if f"/{word}/" in file.url), "file")


def part(file: File) -> dict[str, Any]:
    """The file as a content part."""
    if is_image(file):
        return {"type": "image_url", "image_url": {"url": file.url}}
    return {"type": "file", "file": _described(file)}


def _described(file: File) -> dict[str, str]:
    described = {"url": file.url, "filename": file.name or _kind(file)}
    if file.content_type:
        described["media_type"] = file.content_type
    return described
