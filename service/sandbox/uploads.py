"""`POST /poe_api/file_upload_3RD_PARTY_POST`, and the files behind the URLs it gives out (poe.md 1.8)."""

from __future__ import annotations

import mimetypes
import re
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from service.sandbox.files import StoredFile
from service.sandbox.http import MAX_BODY_BYTES, base_url, secret_of
from service.sandbox.poe_errors import Refused
from service.sandbox.state import Sandbox

UPLOAD_PATH = "/poe_api/file_upload_3RD_PARTY_POST"

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_ATTRIBUTE = re.compile(rb'(?<![\w*])(name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_UNKNOWN_TYPE = "application/octet-stream"


class UploadEndpoints:
    """Uploading a file, and fetching it back."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def upload(self, request: Request) -> Response:
        """Takes the part `file`, or the field `download_url`. Errors are text, as the client expects (poe.md 1.8)."""
        call = self._sandbox.open_call(UPLOAD_PATH, secret_of(request.scope))
        try:
            self._sandbox.account(call.key)
            stored = self._store(request.headers.get("content-type", ""), await self._body(request))
        except Refused as refused:
            call.status = refused.status
            self._sandbox.end_call(call, "answered")
            return PlainTextResponse(str(refused), refused.status)
        call.status = 200
        self._sandbox.end_call(call, "answered")
        url = f"{base_url(request.scope, self._sandbox.public_url)}{stored.path}"
        return JSONResponse({"attachment_url": url, "mime_type": stored.content_type, "size": len(stored.data)})

    async def fetch(self, request: Request) -> Response:
        """The bytes of a file; 404 once its minutes are over."""
        stored = self._sandbox.files.find(request.url.path)
        if stored is None:
            return PlainTextResponse("Not found", 404)
        return Response(stored.data, media_type=stored.content_type)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise Refused(413, "File too large")
        return bytes(body)

    def _store(self, content_type: str, body: bytes) -> StoredFile:
        fields = _fields(content_type, body)
        if "file" in fields:
            name, told, data = fields["file"]
            return self._sandbox.files.add(data, content_type=told or _guess(name), name=name)
        if "download_url" not in fields:
            raise Refused(400, "Missing file or download_url")
        url = fields["download_url"][2].decode("utf-8", "replace")
        known = self._sandbox.files.find(url)
        if known is not None:
            return known
        # The sandbox reaches no network: a file at another host's URL is kept as that URL's text.
        name = fields["download_filename"][2].decode("utf-8", "replace") if "download_filename" in fields else ""
        name = name or urlsplit(url).path.rpartition("/")[2] or "file"
        return self._sandbox.files.add(url.encode(), content_type=_guess(name), name=name)


def _fields(content_type: str, body: bytes) -> dict[str, tuple[str, str, bytes]]:
    """Form fields by name: file name, told content type, data. Multipart and urlencoded forms are read."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        pairs = parse_qs(body.decode("utf-8", "replace"))
        return {name: ("", "", values[0].encode()) for name, values in pairs.items()}
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise Refused(400, "Expected a form")
    fields = {}
    delimiter = b"\r\n--" + boundary[1].encode("latin-1", "replace")
    for part in (b"\r\n" + body).split(delimiter)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        attributes = {name.lower(): value.decode("utf-8", "replace") for name, value in _ATTRIBUTE.findall(head)}
        told = re.search(rb"content-type:\s*([^\s;]+)", head, re.IGNORECASE)
        name = attributes.get(b"name", "")
        fields[name] = (attributes.get(b"filename", ""), told[1].decode("latin-1") if told else "", data)
    return fields


def _guess(name: str) -> str:
    return mimetypes.guess_type(name)[0] or _UNKNOWN_TYPE
