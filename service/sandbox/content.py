"""Reads the content of a chat message: text, pictures, files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from service.sandbox.ask import ReceivedFile
from service.sandbox.files import Files, kind_of
from service.sandbox.poe_errors import invalid


def read_content(content: Any, where: str, files: Files) -> tuple[str, tuple[ReceivedFile, ...]]:
    """The text and the files of a message; `where` names it in errors. Audio parts are dropped, as on Poe (4.2)."""
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        raise invalid(f"Invalid '{where}': expected a string or an array.")
    texts: list[str] = []
    received: list[ReceivedFile] = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        place = f"{where}[{number}]"
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "image_url":
            received.append(_image(part.get("image_url"), place, files))
        elif kind == "file":
            received.append(_file(part.get("file"), place, files))
        elif kind != "input_audio":
            # How Poe words this is unknown.
            raise invalid(f"Invalid '{place}': unsupported content part.")
    return "".join(texts), tuple(received)


def received_file(url: str, name: str, files: Files, *, content_type: str = "", kind: str = "") -> ReceivedFile:
    """The file behind a URL: a data URL, one of the sandbox's own, or one that it does not fetch."""
    if url.startswith("data:"):
        content_type, data = _data_url(url)
        return ReceivedFile(kind or kind_of(content_type), name, content_type, len(data))
    stored = files.find(url)
    if stored is not None:
        told = content_type or stored.content_type
        return ReceivedFile(kind or kind_of(told), name or stored.name, told, len(stored.data))
    return ReceivedFile(
        kind or kind_of(content_type), name or urlsplit(url).path.rpartition("/")[2], content_type, None
    )


def _image(value: Any, place: str, files: Files) -> ReceivedFile:
    url = value.get("url") if isinstance(value, Mapping) else None
    if not isinstance(url, str) or not url.startswith(("data:", "http://", "https://")):
        raise invalid(f"Invalid '{place}.image_url': expected a URL or a data URL.")
    try:
        return received_file(url, "", files, kind="image")
    except ValueError:
        raise invalid(f"Invalid '{place}.image_url': not a readable data URL.") from None


def _file(value: Any, place: str, files: Files) -> ReceivedFile:
    data = value.get("file_data") if isinstance(value, Mapping) else None
    name = value.get("filename", "") if isinstance(value, Mapping) else ""
    if not isinstance(data, str) or not data.startswith("data:") or not isinstance(name, str):
        raise invalid(f"Invalid '{place}.file': expected file_data as a data URL.")
    try:
        return received_file(data, name, files)
    except ValueError:
        raise invalid(f"Invalid '{place}.file': not a readable data URL.") from None


def _data_url(url: str) -> tuple[str, bytes]:
    head, comma, data = url[len("data:") :].partition(",")
    if not comma:
        raise ValueError("a data URL has a comma")
    content_type, *flags = head.split(";")
    if "base64" not in flags:
        return content_type or "text/plain", unquote_to_bytes(data)
    try:
        return content_type or "text/plain", base64.b64decode(data, validate=True)
    except binascii.Error as problem:
        raise ValueError("not base64") from problem
