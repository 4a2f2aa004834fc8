"""Every fault of an upstream that the matrix knows, as data: what it does, and what should come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from service.errors import Kind
from service.wires.sse import MAX_EVENT_BYTES
from tests.faults.proxy import FOREVER, Fin, Repeat, Script, Seen, Step, drip
from tests.faults.speech import LAST_CHUNK, STREAM_HEAD, Speech, chat_chunk, chat_event, framed
from tests.wires.answers import event
from tests.wires.upstream import Reset, Wait, answer

When = Literal["before", "after"]
Maker = Callable[[Speech], Script]

WORDS_BEFORE = 4
"""So many words have left when a fault strikes after the commit point."""
RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True)
class Fate:
    """What should follow a kind of failure (interface, 5): what a caller is told where nothing is left, and the rest.

    `moves`: another key is tried. `state` is what becomes of the key. `waits`: there is a `Retry-After`. `pool`: the
    trouble is the pool's own, of which a caller never learns while a key is left.
    """

    status: int
    code: str | None
    moves: bool = True
    state: str = "usable"
    waits: bool = False
    pool: bool = False
    type: str = "invalid_request_error"

    def after_the_commit_point(self) -> Fate:
        """What a caller is told of a failure in the middle: the pool's own trouble is none of its business, since other
        keys are left."""
        return Fate(502, "upstream_error", type="server_error", state=self.state) if self.pool else self


PASSING = Fate(502, "upstream_error", type="server_error")
FATES: dict[Kind, Fate] = {
    Kind.BAD_REQUEST: Fate(400, None, moves=False),
    Kind.TOO_LONG: Fate(400, "context_length_exceeded", moves=False),
    Kind.MODERATED: Fate(400, "content_filter", moves=False),
    Kind.NEEDS_AUTHORIZATION: Fate(400, "privacy_authorization_required", moves=False),
    Kind.NO_SUCH_MODEL: Fate(404, "model_not_found", moves=False),
    Kind.NOT_COVERED: Fate(404, "model_not_available", state="limited", pool=True),
    Kind.KEY_REVOKED: Fate(503, "no_usable_key", state="revoked", waits=True, pool=True, type="server_error"),
    Kind.DRY: Fate(402, "insufficient_points", state="dry", pool=True, type="insufficient_quota"),
    Kind.RATE_LIMITED: Fate(
        429, "upstream_rate_limited", state="limited", waits=True, pool=True, type="rate_limit_error"
    ),
    Kind.BROKEN: PASSING,
    Kind.EMPTY: PASSING,
    Kind.CUT: PASSING,
    Kind.UNREACHABLE: PASSING,
    Kind.SILENT: Fate(504, "upstream_timeout", type="server_error"),
}


@dataclass(frozen=True)
class Fault:
    """One fault: `before` and `after` the first visible event of a stream, and in a `whole` answer of the chat wire.

    A maker that is missing has its reason in `never`, by the same name; `wires` are those that can have it. `kinds`
    are the words for it that are true; none: it does no harm, and the answer is right.
    """

    name: str
    kinds: tuple[Kind, ...]
    before: Maker | None = None
    after: Maker | None = None
    whole: Maker | None = None
    never: tuple[tuple[str, str], ...] = ()
    wires: tuple[str, ...] = ("bot", "chat")
    why_one_wire: str = ""
    stalls: bool = False


STATUS = (("after", "a status comes before any event"),)
HEADLESS = (("after", "it strikes before the head of the answer"),)
IN_A_STREAM = ("whole", "a whole answer is no stream of events")


def steps(*parts: Step | Sequence[Step]) -> list[Step]:
    """One script out of steps and scripts."""
    found: list[Step] = []
    for part in parts:
        found += part if isinstance(part, (list, tuple)) else [part]  # type: ignore[list-item]
    return found


def before(*tail: Step) -> Maker:
    """The fault strikes when the stream has begun, and nothing of the answer is there."""
    return lambda speech: steps(speech.begun(), Seen(), tail)


def after(*tail: Step) -> Maker:
    """The fault strikes when some words have left."""
    return lambda speech: steps(speech.begun(WORDS_BEFORE), Seen(), tail)


def half(*tail: Step) -> Maker:
    """The fault strikes in the middle of a whole answer's body."""

    def made(speech: Speech) -> Script:
        sent = answer("200 OK", speech.json)
        return steps(sent[: -len(speech.json) // 2], Seen(), tail)

    return made


def said(*parts: Step) -> Maker:
    """The same bytes whatever was asked."""
    return lambda speech: parts


def refusal(status: str, body: Any, headers: str = "", content_type: str = "application/json") -> Maker:
    """An HTTP error."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return said(answer(status, data, content_type, headers))


def error(message: str, type_: str | None = None, code: object = None) -> dict[str, Any]:
    """The body of Poe's errors."""
    return {"error": {"message": message, "type": type_, "code": code}}


def status(name: str, kind: Kind, line: str, body: Any, headers: str = "", content_type: str = "") -> Fault:
    """An HTTP error on either wire."""
    made = refusal(line, body, headers, content_type or "application/json")
    return Fault(name, (kind,), made, whole=made, never=STATUS)


def headless(name: str, kinds: tuple[Kind, ...], *script: Step, stalls: bool = False) -> Fault:
    """A connection that fails before the answer has begun."""
    return Fault(name, kinds, said(*script), whole=said(*script), never=HEADLESS, stalls=stalls)


def bot_error(name: str, kind: Kind, text: str, error_type: str | None = None, **members: Any) -> Fault:
    """An `error` event of a bot, which ends the answer."""
    data = {"text": text, "allow_retry": True, "error_type": error_type, **members}
    tail = (framed(event("error", data)), framed(event("done", {})), LAST_CHUNK)
    return Fault(
        f"bot_error_{name}",
        (kind,),
        before(*tail),
        after(*tail),
        wires=("bot",),
        why_one_wire="an `error` event is of the bot protocol",
    )


def chat_error(name: str, kind: Kind, message: str, type_: str | None = None, code: object = None) -> Fault:
    """An error in the place of a chunk, or of a whole answer, inside a 200."""
    body = error(message, type_, code)
    tail = (framed(chat_event(body)), LAST_CHUNK)
    return Fault(
        f"chat_error_{name}",
        (kind,),
        before(*tail),
        after(*tail),
        refusal("200 OK", body),
        wires=("chat",),
        why_one_wire="an error object in a chunk is of the chat wire",
    )


def unharmed(name: str, stream: Maker, whole: Maker | None = None, **members: Any) -> Fault:
    """What is odd and does no harm: it has no moment, so that it stands under `before` alone."""
    never = [("after", "it lasts the whole answer"), *members.pop("never", ())]
    if whole is None:
        never.append(IN_A_STREAM)
    return Fault(name, (), stream, None, whole, tuple(never), **members)


PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
HTML = "text/html; charset=UTF-8"
MODERATED = error(
    "Your request was rejected by our content policy.", "invalid_request_error", "content_policy_violation"
)
TOO_LONG = error("The context length is exceeded.", "invalid_request_error", "context_length_exceeded")

NO_ANSWER = (Kind.BROKEN, Kind.CUT)

REFUSALS = (
    status("400", Kind.BAD_REQUEST, "400 Bad Request", error("messages: at least one", "invalid_request_error")),
    status("400_too_long", Kind.TOO_LONG, "400 Bad Request", TOO_LONG),
    status("400_moderated", Kind.MODERATED, "400 Bad Request", MODERATED),
    status("401", Kind.KEY_REVOKED, "401 Unauthorized", error("Invalid API key", "authentication_error", 401)),
    status("402", Kind.DRY, "402 Payment Required", error("You have no points", "insufficient_credits", 402)),
    status("403_account", Kind.KEY_REVOKED, "403 Forbidden", error("Your account has been suspended.", None, 403)),
    status("403_model", Kind.NOT_COVERED, "403 Forbidden", error("Your plan has no access to this model.", None, 403)),
    status("403_page", Kind.BROKEN, "403 Forbidden", PAGE, content_type=HTML),
    status("404_page", Kind.BROKEN, "404 Not Found", PAGE, content_type=HTML),
    status("404", Kind.NO_SUCH_MODEL, "404 Not Found", error("The model does not exist", "not_found_error", 404)),
    status("408", Kind.SILENT, "408 Request Timeout", error("Timed out", "timeout_error", 408)),
    status("413", Kind.TOO_LONG, "413 Payload Too Large", error("Too large", "request_too_large", 413)),
    status(
        "429",
        Kind.RATE_LIMITED,
        "429 Too Many Requests",
        error("Rate limit exceeded", "rate_limit_error", 429),
        f"Retry-After: {RETRY_AFTER_SECONDS}\r\n",
    ),
    status("429_bare", Kind.RATE_LIMITED, "429 Too Many Requests", b""),
    status("500", Kind.BROKEN, "500 Internal Server Error", error("Internal server error", "provider_error", 500)),
    status("502_page", Kind.BROKEN, "502 Bad Gateway", PAGE, content_type=HTML),
    status("503_empty", Kind.BROKEN, "503 Service Unavailable", b""),
    status("504_page", Kind.SILENT, "504 Gateway Time-out", PAGE, content_type=HTML),
    status("529", Kind.BROKEN, "529 Overloaded", error("Overloaded", "overloaded_error", 529)),
    status("302", Kind.BROKEN, "302 Found", b"", "Location: http://127.0.0.1:9/\r\n"),
    Fault("200_page", NO_ANSWER, refusal("200 OK", PAGE, "", HTML), None, refusal("200 OK", PAGE, "", HTML), STATUS),
    Fault("200_nothing", NO_ANSWER, refusal("200 OK", b""), None, refusal("200 OK", b""), STATUS),
)

LOST = (Kind.UNREACHABLE,)
CONNECTIONS = (
    headless("fin_before_head", LOST, Fin()),
    headless("rst_before_head", LOST, Reset()),
    headless("fin_in_head", LOST, STREAM_HEAD[:40], Seen(), Fin()),
    headless("rst_in_head", LOST, STREAM_HEAD[:40], Seen(), Reset()),
    headless("no_http", (Kind.BROKEN,), b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Fin()),
    headless("head_too_large", (Kind.BROKEN,), STREAM_HEAD[:-2] + b"X: " + b"a" * 80_000 + b"\r\n\r\n", FOREVER),
    headless("silence_before_head", (Kind.SILENT,), FOREVER, stalls=True),
    headless("drip_in_head", (Kind.SILENT,), *drip(STREAM_HEAD[:40], 1, 0.05), FOREVER, stalls=True),
)


def cut(name: str, *tail: Step) -> Fault:
    """A connection that ends where the answer has begun."""
    return Fault(name, (Kind.CUT,), before(*tail), after(*tail), half(*tail))


BROKEN_CHAT = b'data: {"choices":[{"index":0,"delta":{"content":"bro\n\n'
GIANT = b"x" * 65_536


def by_wire(bot: bytes, chat: bytes) -> Callable[[Callable[..., Maker], Sequence[Step]], Maker]:
    """A maker whose one event differs from wire to wire."""

    def placed(where: Callable[..., Maker], tail: Sequence[Step]) -> Maker:
        return lambda speech: where(framed(bot if speech.call.wire == "bot" else chat), *tail)(speech)

    return placed


MALFORMED = by_wire(b'event: text\r\ndata: {"text": "bro\r\n\r\n', BROKEN_CHAT)
NO_OBJECT = by_wire(b"event: text\r\ndata: [1]\r\n\r\n", b"data: [1]\n\n")
PING = by_wire(b": ping\n\n", b": ping\n\n")


def goes_on(odd: Callable[[Callable[..., Maker], Sequence[Step]], Maker], words: int) -> Maker:
    """An odd event, and the right rest of the answer behind it."""

    def made(speech: Speech) -> Script:
        where = after if words else before
        return steps(odd(where, ())(speech), speech.rest(words))

    return made


def unfinished(speech: Speech) -> Script:
    """Everything is said, and the mark of the end is missing."""
    return steps(speech.begun(len(speech.words)), Seen(), LAST_CHUNK)


def empty(speech: Speech) -> Script:
    """A proper end with nothing before it."""
    return steps(speech.begun(), map_framed(speech.end), LAST_CHUNK)


def map_framed(events: Sequence[bytes]) -> list[Step]:
    """Each event as a chunk."""
    return [framed(each) for each in events]


def half_event(*tail: Step) -> tuple[Maker, Maker]:
    """The first half of an event, and then the fault; before and after the commit point."""

    def made(words: int) -> Maker:
        def script(speech: Speech) -> Script:
            part = speech.events[words]
            return steps(speech.begun(words), framed(part[: len(part) // 2]), Seen(), tail)

        return script

    return made(0), made(WORDS_BEFORE)


def cut_in_event(name: str, *tail: Step) -> Fault:
    """A connection that ends in the middle of an event."""
    first, later = half_event(*tail)
    return Fault(name, (Kind.CUT,), first, later, never=(IN_A_STREAM,))


def giant(words: int) -> Maker:
    """A line without end."""
    where = after if words else before
    start = by_wire(b'event: text\r\ndata: {"text": "', b'data: {"choices":[{"delta":{"content":"')
    return lambda speech: steps(start(where, ())(speech), Repeat(framed(GIANT)))


def giant_event(words: int) -> Maker:
    """An event that is larger than what is held, with its end."""
    where = after if words else before
    filling = b'{"text": "%b"}' % (b"x" * (MAX_EVENT_BYTES + 1_048_576))
    whole = by_wire(b"event: text\r\ndata: " + filling + b"\r\n\r\n", b"data: " + filling + b"\n\n")
    return lambda speech: steps(whole(where, (FOREVER,))(speech))


TOOL_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"city":'}}


def half_a_call(speech: Speech) -> Script:
    """A tool call whose arguments are never closed, and a proper end behind it."""
    chunk = chat_chunk({"tool_calls": [TOOL_CALL]})
    if speech.call.wire == "bot":
        chunk = event("json", chunk.removeprefix(b"data: ").strip().decode())
    return steps(speech.begun(), framed(chunk), Seen(), map_framed(speech.end), LAST_CHUNK)


def whole_with(**choice: Any) -> Maker:
    """A whole answer with another choice in it."""

    def made(speech: Speech) -> Script:
        body = orjson.loads(speech.json)
        body["choices"][0].update(choice)
        return [answer("200 OK", orjson.dumps(body))]

    return made


STREAMS = (
    cut("fin", Fin()),
    cut("rst", Reset()),
    cut_in_event("fin_in_event", Fin()),
    cut_in_event("rst_in_event", Reset()),
    cut_in_event("clean_end_in_event", LAST_CHUNK),
    Fault("clean_end", (Kind.CUT,), before(LAST_CHUNK), after(LAST_CHUNK), never=(IN_A_STREAM,)),
    Fault("no_terminator", (Kind.CUT,), None, unfinished, never=(("before", "it stands after a text"), IN_A_STREAM)),
    Fault("stall", (Kind.SILENT,), before(FOREVER), after(FOREVER), half(FOREVER), stalls=True),
    Fault("stall_in_event", (Kind.SILENT,), *half_event(FOREVER), never=(IN_A_STREAM,), stalls=True),
    Fault(
        "pings_only",
        (Kind.SILENT,),
        before(Repeat(framed(b": ping\n\n"), 0.02)),
        after(Repeat(framed(b": ping\n\n"), 0.02)),
        never=(IN_A_STREAM,),
        stalls=True,
    ),
    Fault(
        "malformed_event",
        (Kind.CUT,),
        MALFORMED(before, (FOREVER,)),
        MALFORMED(after, (FOREVER,)),
        never=(IN_A_STREAM,),
    ),
    Fault(
        "malformed_event_then_right",
        (Kind.CUT,),
        goes_on(MALFORMED, 0),
        goes_on(MALFORMED, WORDS_BEFORE),
        never=(IN_A_STREAM,),
    ),
    Fault(
        "event_of_no_object",
        (Kind.CUT,),
        goes_on(NO_OBJECT, 0),
        goes_on(NO_OBJECT, WORDS_BEFORE),
        never=(IN_A_STREAM,),
    ),
    Fault(
        "malformed_json",
        (Kind.BROKEN,),
        None,
        None,
        refusal("200 OK", b'{"choices":[{"mess'),
        (
            ("before", "it is a body's fault; `malformed_event` is the stream's"),
            ("after", "it is a body's fault; `malformed_event` is the stream's"),
        ),
    ),
    Fault(
        "empty",
        (Kind.EMPTY,),
        empty,
        None,
        whole_with(message={"role": "assistant", "content": ""}),
        (("after", "an answer with text in it is not empty"),),
    ),
    Fault(
        "giant_line",
        (Kind.BROKEN, Kind.CUT),
        giant(0),
        giant(WORDS_BEFORE),
        never=(("whole", "64 MiB a cell; tests/wires has it"),),
    ),
    Fault(
        "giant_event",
        (Kind.BROKEN, Kind.CUT),
        giant_event(0),
        giant_event(WORDS_BEFORE),
        never=(("whole", "64 MiB a cell; tests/wires has it"),),
    ),
    Fault(
        "bad_framing",
        (Kind.CUT,),
        before(b"zz\r\n"),
        after(b"zz\r\n"),
        never=(("whole", "a body with a length has no framing"),),
    ),
    Fault(
        "half_a_tool_call",
        (Kind.CUT,),
        None,
        half_a_call,
        never=(
            ("before", "a tool call is visible, and commits"),
            ("whole", "it commits nobody; tests/wires has it"),
        ),
    ),
)

IN_BAND = (
    bot_error("internal", Kind.BROKEN, "Internal server error"),
    bot_error("no_retry", Kind.BROKEN, "Internal server error", allow_retry=False),
    bot_error("unknown_words", Kind.BROKEN, "The bot stumbled."),
    bot_error("rate_limit", Kind.RATE_LIMITED, "You have exceeded the rate limit for querying with a User API Key."),
    bot_error("funds", Kind.DRY, "Not enough points.", "insufficient_fund"),
    bot_error("access_denied", Kind.KEY_REVOKED, "Access denied"),
    bot_error("too_long", Kind.TOO_LONG, "The message is too long.", "user_message_too_long"),
    bot_error("user_caused", Kind.BAD_REQUEST, "An image is needed.", "user_caused_error"),
    bot_error("privacy", Kind.NEEDS_AUTHORIZATION, "Please authorise.", "privacy_authorization_error"),
    chat_error("server", Kind.BROKEN, "Internal server error", "server_error", 500),
    chat_error("rate_limit", Kind.RATE_LIMITED, "Rate limit exceeded", "rate_limit_error", 429),
    chat_error("points", Kind.DRY, "Insufficient points", "insufficient_credits", 402),
    chat_error("moderation", Kind.MODERATED, "Refused", "moderation_error", 403),
    chat_error("auth", Kind.KEY_REVOKED, "Invalid API key", "authentication_error", 401),
)


def dripped(speech: Speech) -> Script:
    """Byte by byte, so that every character and every frame is split."""
    whole = b"".join([step for step in speech.right() if isinstance(step, bytes)])
    return drip(whole)


def split_text(speech: Speech) -> Script:
    """Each event in three writes, with a cut in the middle of its last character that takes more than one byte."""
    script: list[Step] = []
    for step in speech.right():
        assert isinstance(step, bytes)
        at = max([place for place, byte in enumerate(step) if byte >= 0xC0], default=len(step) // 2) + 1
        script += [step[:at], Wait(0.002), step[at:]]
    return script


def paced(speech: Speech) -> Script:
    """A first event that comes late, and pauses that are shorter than any limit."""
    return steps(Wait(0.08), speech.begun(1), Wait(0.1), speech.begun(2)[-1], Wait(0.1), speech.rest(2))


def commented(speech: Speech) -> Script:
    """Comments and pings between all events."""
    script: list[Step] = [STREAM_HEAD]
    for each in (speech.first, *speech.events, *speech.end):
        script += [framed(b": ping\r\n\r\n"), framed(each)]
    return [*script, LAST_CHUNK]


def without_done(speech: Speech) -> Script:
    """A finish reason and usage, and no `[DONE]`."""
    return steps(speech.begun(len(speech.words)), map_framed(speech.end[:-1]), LAST_CHUNK)


def reset_behind(speech: Speech) -> Script:
    """Right to its proper end, and then a reset where the body should end."""
    return steps(speech.begun(), speech.rest()[:-1], Seen(), Reset())


UNHARMED = (
    unharmed("drip", dripped, dripped),
    unharmed("split_utf8", split_text, split_text),
    unharmed("paced", paced, lambda speech: steps(Wait(0.1), speech.right())),
    unharmed("comments", commented),
    unharmed(
        "no_done", without_done, wires=("chat",), why_one_wire="`[DONE]` is of the chat wire; a bot's `done` is its end"
    ),
    unharmed("reset_behind_the_end", reset_behind),
    unharmed("fin_behind_the_end", lambda speech: steps(speech.right(), Fin()), lambda s: steps(s.right(), Fin())),
)

FAULTS = (*REFUSALS, *CONNECTIONS, *STREAMS, *IN_BAND, *UNHARMED)
