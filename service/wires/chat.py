"""The chat wire: Poe's OpenAI-compatible endpoint, whole or streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from yarl import URL

from service.deadline import Deadlines
from service.errors import Failure, Kind
from service.events import Event, ToolCall
from service.wires.arriving import NO_ANSWER, NOT_BEGUN, Arriving
from service.wires.call import UpstreamCall
from service.wires.chat_answer import whole_answer
from service.wires.chat_body import encode
from service.wires.chat_stream import ChatReader, load
from service.wires.client import Client
from service.wires.connection import Answer
from service.wires.http import failure_from_error, failure_from_response
from service.wires.opaque import OpaqueStore
from service.wires.rates import tell_rates

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of a whole answer."""


class ChatWire:
    """Speaks chat completions with one upstream. Poe validates strictly, so that bodies are built from a whitelist."""

    def __init__(self, client: Client, base_url: str, deadlines: Deadlines, opaque: OpaqueStore) -> None:
        url = URL(f"{base_url}/v1/chat/completions", encoded=True)
        self._client = client
        self._origin = client.origin(url)
        self._target = url.raw_path_qs
        self._deadlines = deadlines
        self._opaque = opaque

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[list[Event], None]:
        """The answer's events; a model whose tool calls do not survive streaming is asked for the whole answer."""
        streamed = call.prompt.stream and _can_stream(call)
        body = encode(call, stream=streamed, opaque=self._opaque.get, refused=call.refused)
        if not streamed:
            events = await self._whole(call, body)
            self._keep(events)
            yield events
            return
        response, waited_seconds = await self._begun(call, body)
        reader = ChatReader(call.secret)
        answer = Arriving(call, response.content, reader, waited_seconds)
        try:
            while events := await answer.read():
                self._keep(events)
                yield events
        finally:
            answer.close()
            response.let_go(whole=reader.over)

    async def _whole(self, call: UpstreamCall, body: bytes) -> list[Event]:
        """A whole answer, asked for and read."""
        call.waiting.begin()
        try:
            with self._deadlines.within(call.answer_seconds):
                response = await self._send(call, body)
                try:
                    written = await _read(response)
                finally:
                    response.close()
        except TimeoutError:
            raise Failure(Kind.SILENT, NO_ANSWER) from None
        finally:
            call.waiting.end()
        payload = load(written)
        if isinstance(payload, dict) and payload.get("error"):
            raise failure_from_error(payload, secret=call.secret)
        model = call.route.model
        return whole_answer(payload, media=model is not None and not model.makes_text)

    async def _begun(self, call: UpstreamCall, body: bytes) -> tuple[Answer, float]:
        """A streamed answer whose head has come, and the seconds that took."""
        call.waiting.begin()
        waited_seconds = 0.0
        try:
            with self._deadlines.within(call.first_event_seconds):
                answer = await self._send(call, body)
        except TimeoutError:
            raise Failure(Kind.SILENT, NOT_BEGUN) from None
        finally:
            waited_seconds = call.waiting.end()
        return answer, waited_seconds

    async def _send(self, call: UpstreamCall, body: bytes) -> Answer:
        headers = {"Authorization": f"Bearer {call.secret}", "Content-Type": "application/json"}
        response = await self._client.post(self._origin, self._target, headers, body)
        tell_rates(response, call)
        if response.status != 200:
            raise await failure_from_response(response, secret=call.secret)
        call.accepted()
        return response

    def _keep(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is ToolCall and event.opaque:
                self._opaque.keep(event.id, event.opaque)


def _can_stream(call: UpstreamCall) -> bool:
    model = call.route.model
    return model is None or (model.makes_text and (model.tools_stream or not call.prompt.tools))


async def _read(response: Answer) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise Failure(Kind.BROKEN, "The model's answer is too large.")
        parts.append(chunk)
    return b"".join(parts)
