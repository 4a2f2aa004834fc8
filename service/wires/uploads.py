"""Attachments for bots: what a caller sent as bytes or a URL, put where Poe's bots can fetch it.

Poe promises an uploaded file for ten minutes, so an upload is kept for eight and used again for the same content with
the same key; whoever asks for one that is on its way waits for it. A caller's URL is fetched by Poe and never by us.
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import aiohttp
import orjson
from yarl import URL

from service.errors import Failure, Kind
from service.prompt import MediaPart
from service.wires.bot_request import Attachment, Attachments
from service.wires.http import TRANSPORT_ERRORS, failure_from_exception, failure_from_response, send

KEPT_SECONDS = 8 * 60.0
MAX_KEPT = 2048
"""Uploads that are remembered."""
MAX_UPLOAD_BYTES = 50 * 1024 * 1024
MAX_ATTACHMENTS = 100
"""Of one prompt."""
MAX_AT_ONCE = 4
"""Uploads of one prompt that run side by side."""
UPLOAD_SECONDS = 60.0
MAX_REPLY_BYTES = 64 * 1024
HASH_ASIDE_FROM_BYTES = 256 * 1024
"""Contents from this size are hashed beside the event loop, which they would hold up for a millisecond or more."""

MEANINGS: Mapping[Kind, Kind] = {
    Kind.TOO_LONG: Kind.BAD_REQUEST,
    Kind.UNSUPPORTED_PARAMETER: Kind.BAD_REQUEST,
    Kind.NO_SUCH_MODEL: Kind.BROKEN,
    Kind.NOT_ON_WIRE: Kind.BROKEN,
    Kind.CUT: Kind.BROKEN,
}
"""What refusals mean here, where they are not about a model or its prompt."""

_REFUSES = re.compile(
    r"(?:attachment|uploaded (?:file|image)|(?:file|image) url)s?\b.{0,80}?"
    r"(?:expired|invalid|not found|no longer|does not exist|could not|couldn['’]t|cannot|failed|unavailable)"
    r"|(?:could not|couldn['’]t|cannot|failed to|unable to) (?:download|fetch|access|load|open|read|retrieve) "
    r"(?:the |an? |your |one of the )?(?:attachment|attached|uploaded|file|image)",
    re.IGNORECASE | re.DOTALL,
)
_LONG_WORD = re.compile(r"\S{41,}")
"""The URL or the name of a file, as long as any."""
_DATA_URL = re.compile(r"data:([^;,]*)(?:;(?!base64,)[^;,]*)*(;base64)?,", re.IGNORECASE)
_Key = tuple[str, bytes]


def refuses_attachment(message: str) -> bool:
    """Whether a bot's refusal says that it cannot get at an attachment, so that uploading it again may help."""
    return _REFUSES.search(_LONG_WORD.sub("…", message[:2000])) is not None


@dataclass(slots=True)
class _Upload:
    """One upload on its way, and how many wait for it."""

    task: asyncio.Task[Attachment]
    waiting: int = 0


class Uploads:
    """The uploads of the process, remembered per content and key."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._url = URL(url, encoded=True)
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[float, Attachment]] = OrderedDict()
        self._running: dict[_Key, _Upload] = {}

    async def attach(self, parts: Sequence[MediaPart], *, key_name: str, secret: str) -> Attachments:
        """Where each of `parts` is now, by the identity of the part. Raises Failure."""
        if not parts:
            return {}
        if len(parts) > MAX_ATTACHMENTS:
            raise Failure(Kind.BAD_REQUEST, f"More than {MAX_ATTACHMENTS} attachments.")
        room = asyncio.Semaphore(MAX_AT_ONCE)

        async def one(part: MediaPart) -> Attachment:
            async with room:
                return await self._attach(_with_data(part), key_name, secret)

        tasks = [asyncio.ensure_future(one(part)) for part in parts]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return {id(part): attachment for part, attachment in zip(parts, found, strict=True)}

    async def forget(self, parts: Sequence[MediaPart], *, key_name: str) -> None:
        """Have `parts` uploaded again when they are needed next."""
        for part in parts:
            self._kept.pop(await _key(_with_data(part), key_name), None)

    async def _attach(self, part: MediaPart, key_name: str, secret: str) -> Attachment:
        key = await _key(part, key_name)
        ends, attachment = self._kept.get(key, (0.0, None))
        if attachment is None or ends <= self._clock():
            attachment = await self._shared(key, part, secret)
        return replace(attachment, name=_name(part, attachment.content_type))

    async def _shared(self, key: _Key, part: MediaPart, secret: str) -> Attachment:
        """The upload of `key`, which goes on as long as anybody waits for it."""
        upload = self._running.get(key)
        if upload is None:
            upload = self._running[key] = _Upload(asyncio.ensure_future(self._upload(key, part, secret)))
        upload.waiting += 1
        try:
            return await asyncio.shield(upload.task)
        finally:
            upload.waiting -= 1
            if not upload.waiting:
                upload.task.cancel()
                if self._running.get(key) is upload:
                    del self._running[key]

    async def _upload(self, key: _Key, part: MediaPart, secret: str) -> Attachment:
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                attachment = await self._send(part, secret)
        except TimeoutError:
            raise Failure(Kind.SILENT, "An attachment could not be uploaded in time.") from None
        self._kept[key] = (self._clock() + KEPT_SECONDS, attachment)
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return attachment

    async def _send(self, part: MediaPart, secret: str) -> Attachment:
        # The bare key, without `Bearer`, is what Poe's own client sends here.
        headers = {"Authorization": secret}
        response = await send(self._session, "POST", self._url, headers=headers, data=_form(part))
        try:
            if response.status != 200:
                raise _meaning(await failure_from_response(response, secret=secret))
            body = await _read(response)
        except TRANSPORT_ERRORS as error:
            raise _meaning(failure_from_exception(error, answering=True)) from error
        finally:
            response.close()
        return _attachment(body)


def _meaning(failure: Failure) -> Failure:
    failure.kind = MEANINGS.get(failure.kind, failure.kind)
    failure.message = f"An attachment could not be uploaded: {failure.message}"[:500]
    return failure


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            break
    return bytes(body)


def _attachment(body: bytes) -> Attachment:
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        reply = None
    url = reply.get("attachment_url") if isinstance(reply, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Failure(Kind.BROKEN, "An attachment could not be uploaded: Poe's answer has no URL in it.")
    content_type = reply.get("mime_type")
    return Attachment(url, content_type if isinstance(content_type, str) else "application/octet-stream", "")


def _form(part: MediaPart) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)  # names as Poe's own client writes them, not percent-encoded
    if part.data is None:
        form.add_field("download_url", part.url or "")
        if part.name:
            form.add_field("download_filename", _name(part, ""))
        return form
    content_type = part.media_type or "application/octet-stream"
    form.add_field("file", BytesIO(part.data), filename=_name(part, content_type), content_type=content_type)
    return form


def _with_data(part: MediaPart) -> MediaPart:
    """The part, a data URL made bytes. Raises Failure for bytes that are too many or no data URL."""
    if part.data is None and (part.url or "")[:5].lower() == "data:":
        part = _from_data_url(part, part.url or "")
    if part.data is not None and len(part.data) > MAX_UPLOAD_BYTES:
        raise Failure(Kind.BAD_REQUEST, f"An attachment is larger than {MAX_UPLOAD_BYTES >> 20} MiB.")
    return part


def _from_data_url(part: MediaPart, url: str) -> MediaPart:
    head = _DATA_URL.match(url)
    if head is None:
        raise Failure(Kind.BAD_REQUEST, "An attachment's data URL cannot be read.")
    content = url[head.end() :]
    try:
        data = b64decode(unquote(content), validate=True) if head[2] else unquote_to_bytes(content)
    except ValueError:
        raise Failure(Kind.BAD_REQUEST, "An attachment's base64 cannot be read.") from None
    return replace(part, url=None, data=data, media_type=part.media_type or head[1] or "text/plain")


async def _key(part: MediaPart, key_name: str) -> _Key:
    """What an upload is remembered by: content and type, or URL; and whose key made it."""
    if part.data is None:
        return f"{key_name} url", sha256((part.url or "").encode("utf-8", "replace")).digest()
    if len(part.data) < HASH_ASIDE_FROM_BYTES:
        digest = sha256(part.data).digest()
    else:
        digest = (await asyncio.to_thread(sha256, part.data)).digest()
    return f"{key_name} {part.media_type}", digest


def _name(part: MediaPart, content_type: str) -> str:
    """A file name for the part: the caller's, the URL's, or one that tells its type. One line, no path, not long."""
    name = part.name or unquote(urlsplit(part.url or "").path if part.data is None else "")
    name = re.sub(r"[\x00-\x1f\x7f\"]", "", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()[-128:]
    if name:
        return name
    subtype = (part.media_type or content_type).partition(";")[0].partition("/")[2].partition("+")[0]
    return f"{part.kind}.{subtype}" if subtype.isalnum() and len(subtype) <= 10 else part.kind
