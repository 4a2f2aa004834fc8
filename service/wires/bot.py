"""The bot wire: Poe's bot query protocol, which reaches every public bot there is."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from urllib.parse import quote

from yarl import URL

from service.deadline import Deadlines
from service.errors import Failure, Kind
from service.events import Event, ToolCall
from service.prompt import MediaPart
from service.wires.arriving import NOT_BEGUN, Arriving
from service.wires.bot_events import BotReader
from service.wires.bot_request import Attachments, encode, media_parts
from service.wires.call import UpstreamCall
from service.wires.client import Client
from service.wires.connection import Answer
from service.wires.http import failure_from_response
from service.wires.opaque import OpaqueStore
from service.wires.rates import tell_rates
from service.wires.uploads import Uploads, refuses_attachment

MAX_REWRITERS = 1000
REWRITER_SECONDS = 24 * 3600.0
"""How long it is remembered that a bot throws away text that it has sent."""


class BotWire:
    """Speaks the bot query protocol with one upstream."""

    def __init__(
        self,
        client: Client,
        base_url: str,
        uploads: Uploads,
        *,
        deadlines: Deadlines | None = None,
        opaque: OpaqueStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        url = URL(f"{base_url}/bot/", encoded=True)
        self._client = client
        self._origin = client.origin(url)
        self._base = url.raw_path
        self._uploads = uploads
        self._deadlines = deadlines or Deadlines()
        self._opaque = opaque or OpaqueStore()
        self._rewriters = Rewriters(clock)

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[list[Event], None]:
        """The answer's events, a list for each read that brought some. Closing it closes the upstream's answer."""
        target, parts = self._target(call.route.name), media_parts(call.prompt)
        attachments = await self._attach(call, parts) if parts else {}
        try:
            response, waited_seconds = await self._ask(call, target, attachments)
            reader = self._reader(call)
            answer = Arriving(call, response.content, reader, waited_seconds)
            committed = False
            try:
                while events := await answer.read():
                    if reader.failure is not None and not committed:
                        break  # what came together with the failure commits nobody
                    committed = answer.visible
                    self._keep(events)
                    yield events
            finally:
                answer.close()
                response.let_go(whole=reader.done)
                if reader.rewrote:
                    self._rewriters.add(call.route.name)
            if reader.failure is not None:
                raise reader.failure
        except Failure as failure:
            if parts:
                await self._consider_uploads(parts, call.key_name, failure)
            raise

    def _reader(self, call: UpstreamCall) -> BotReader:
        model = call.route.model
        media = model is not None and not model.makes_text
        replaces = media or (model is not None and model.replaces) or call.route.name in self._rewriters
        return BotReader(held=replaces, media=media, files_repeated=call.prompt.media_as_parts, secret=call.secret)

    async def _attach(self, call: UpstreamCall, parts: Sequence[MediaPart]) -> Attachments:
        """What Poe calls the parts, all of them uploaded."""
        call.waiting.begin()
        try:
            return await self._uploads.attach(parts, key_name=call.key_name, secret=call.secret)
        finally:
            call.waiting.end()

    async def _ask(self, call: UpstreamCall, target: str, attachments: Attachments) -> tuple[Answer, float]:
        """The answer, once its head has come and is the one that was asked for, and the seconds that took."""
        body = encode(call, attachments, self._opaque.get)
        waited_seconds = 0.0
        call.waiting.begin()
        try:
            with self._deadlines.within(call.first_event_seconds):
                response = await self._client.post(self._origin, target, _headers(call.secret), body)
        except TimeoutError:
            raise Failure(Kind.SILENT, NOT_BEGUN) from None
        finally:
            waited_seconds = call.waiting.end()
        tell_rates(response, call)
        if response.status != 200 or not response.field(b"content-type").startswith(b"text/event-stream"):
            raise await failure_from_response(response, secret=call.secret)
        return response, waited_seconds

    def _target(self, name: str) -> str:
        if name in ("", ".", ".."):
            raise Failure(Kind.NO_SUCH_MODEL, "No bot has such a name.")
        return self._base + quote(name, safe="")

    def _keep(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is ToolCall and event.opaque:
                self._opaque.keep(event.id, event.opaque)

    async def _consider_uploads(self, parts: Sequence[MediaPart], key_name: str, failure: Failure) -> None:
        """Have the attachments uploaded again where a bot says that it cannot get at them."""
        if failure.kind in (Kind.BAD_REQUEST, Kind.BROKEN) and refuses_attachment(failure.message):
            failure.kind = Kind.UPLOAD_REFUSED
            await self._uploads.forget(parts, key_name=key_name)


class Rewriters:
    """Names of bots that were seen to throw away text that they had sent: bounded, and each for a time only."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: OrderedDict[str, float] = OrderedDict()

    def add(self, name: str) -> None:
        """Remember a bot."""
        self._ends[name] = self._clock() + REWRITER_SECONDS
        self._ends.move_to_end(name)
        if len(self._ends) > MAX_REWRITERS:
            self._ends.popitem(last=False)

    def __contains__(self, name: str) -> bool:
        return self._ends.get(name, 0.0) > self._clock()

    def __len__(self) -> int:
        return len(self._ends)


def _headers(secret: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {secret}",
        "Accept": "text/event-stream",
        "Cache-Control": "no-store",
        "Content-Type": "application/json",
    }
