"""Content of messages: text, pictures, sound and files, however a caller writes them."""

from __future__ import annotations

from mimetypes import MimeTypes
from typing import Any, Literal

from service.contract import models
from service.contract.members import given
from service.prompt import MediaPart, Part, TextPart

AUDIO_TYPES = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}
UNTYPED = "application/octet-stream"


def parts_of(content: Any) -> tuple[Part, ...]:
    """The parts of a `content` member: a string, null, nothing, or a list of parts."""
    content = given(content)
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    return tuple([_part(part) for part in content or ()])


def _part(part: Any) -> Part:
    match part:
        case models.TextPart():
            return TextPart(part.text)
        case models.RefusalPart():
            return TextPart(part.refusal)
        case models.ImagePart():
            return _media(part.image_url.url, detail=given(part.image_url.detail), fallback="image/*")
        case models.AudioPart():
            form = part.input_audio.format
            media_type = AUDIO_TYPES.get(form, f"audio/{form}")
            return _media(f"data:{media_type};base64,{part.input_audio.data}", name=f"audio.{form}", fallback="audio/*")
        case models.FilePart():
            return _file(part.file)
    raise AssertionError(part)


def _file(file: models.InputFile) -> MediaPart:
    name, data = given(file.filename) or "", file.file_data
    if not data.startswith(("data:", "http://", "https://")):
        # The guess needs no file of the system's: those differ from machine to machine.
        media_type = MimeTypes().guess_type(name)[0] or UNTYPED
        data = f"data:{media_type};base64,{data}"
    return _media(data, name=name)


def _media(url: str, *, name: str = "", detail: str | None = None, fallback: str = "") -> MediaPart:
    media_type = url[5:].partition(",")[0].partition(";")[0].lower() if url.startswith("data:") else ""
    return MediaPart(_kind(media_type or fallback), url=url, media_type=media_type, name=name, detail=detail)


def _kind(media_type: str) -> Literal["image", "audio", "video", "file"]:
    match media_type.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
    return "file"
